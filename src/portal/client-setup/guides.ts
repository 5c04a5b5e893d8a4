import type { Texts } from '../locales/en.ts';
import { codeSample } from './code-samples.ts';
import { type GuideName, type GuideStep, guideNames } from './guide-texts.ts';
import { type GuideWindow, guideWindow, type WindowValues } from './guide-windows.ts';
import type { MailService, MailSettings } from './mail-settings.ts';

/** A step with what is drawn under it. */
export interface GuideStepView {
  readonly text: string;
  readonly window: GuideWindow | null;
  readonly code: string | null;
}

/** One guide as its page shows it. */
export interface GuideView {
  readonly name: GuideName;
  readonly title: string;
  readonly lead: string;
  readonly warning: string | null;
  readonly parts: readonly { readonly heading: string; readonly steps: readonly GuideStepView[] }[];
  readonly trouble: readonly (readonly [see: string, means: string])[];
  readonly replace: readonly string[];
  /** Second choices: ports that are offered beside those of the steps. */
  readonly otherPorts: readonly OfferedPort[];
}

/** One line of the settings. */
export interface OfferedPort {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  readonly service: MailService;
}

/** Guides that can be followed here: a program that reads mail needs IMAP, and every one sends. */
export function offeredGuides({ imap, smtp }: MailSettings): readonly GuideName[] {
  if (smtp.length === 0) return [];
  return guideNames.filter((name) => name === 'scanner-printer' || imap.length > 0);
}

/** null for a guide that there is none of here. `user`: the signed-in person's address. */
export function guideView(
  wanted: string,
  settings: MailSettings,
  user: string | null,
  t: Texts,
): GuideView | null {
  const name = offeredGuides(settings).find((each) => each === wanted);
  const [outgoing] = settings.smtp;
  if (name === undefined || outgoing === undefined) return null;
  const values = { host: settings.host, user, incoming: settings.imap[0] ?? null, outgoing };
  const texts = t.guides[name];
  const onlySends = name === 'scanner-printer';
  return {
    name,
    title: texts.name,
    lead: texts.lead,
    warning: texts.warning,
    parts: texts.parts.map(({ heading, steps }) => ({
      heading,
      steps: steps.map((step) => stepView(step, values, t)),
    })),
    trouble: texts.trouble,
    replace: texts.replace,
    otherPorts: otherPorts(settings).filter(({ protocol }) => !onlySends || protocol === 'smtp'),
  };
}

/** All that is offered, the best of each protocol first. */
export function offeredPorts(settings: MailSettings): readonly OfferedPort[] {
  return (['imap', 'pop3', 'smtp'] as const).flatMap((protocol) =>
    settings[protocol].map((service) => ({ protocol, service })),
  );
}

function otherPorts(settings: MailSettings): readonly OfferedPort[] {
  return offeredPorts(settings).filter(
    ({ protocol, service }) => protocol !== 'pop3' && settings[protocol].indexOf(service) > 0,
  );
}

function stepView(step: GuideStep, values: WindowValues, t: Texts): GuideStepView {
  if (typeof step === 'string') return { text: step, window: null, code: null };
  return 'window' in step
    ? { text: step.text, window: guideWindow(step.window, values, t.windowWords), code: null }
    : { text: step.text, window: null, code: codeSample(step.code, values) };
}
