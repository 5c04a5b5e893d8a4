import { z } from 'zod';
import { isoOf } from '../../../credentials/app-password-json.ts';
import { deviceCharacters, type ProfileLinkActions } from '../../actions/profile-links.ts';
import type { ProfileLinks } from '../../client-setup/profile-links.ts';
import { problem } from '../problem.ts';
import { type ApiRoute, act, read, result } from '../route.ts';
import { done, doneShape, hexId, time } from '../shapes.ts';

const linkShape = z.object({
  id: hexId,
  device: z.string(),
  until: time,
  state: z.enum(['open', 'over', 'used']),
  usedAt: time.nullable(),
  usedAddress: z.string().nullable(),
  /** The app password it made; null where it made none. */
  credential: hexId.nullable(),
});

/** Links that set up another of Apple's devices (S-71). */
export function profileLinkRoutes(parts: {
  readonly actions: ProfileLinkActions;
  readonly links: ProfileLinks;
  readonly now: () => number;
}): readonly ApiRoute[] {
  const { actions, links, now } = parts;
  return [
    act(
      '/profile-links',
      'stepped-up',
      {
        summary:
          'Makes a link for a device, in place of the last one. It is in this answer and nowhere else.',
        body: { device: z.string().max(1_000) },
        status: 201,
        result: z.object({ id: hexId, link: z.string() }),
        problems: ['impossible', 'not-allowed'],
      },
      async ({ session, body }) => {
        const made = await actions.make(session, body.device);
        switch (made.kind) {
          case 'made':
            return result({ id: made.id.toString('hex'), link: made.link });
          case 'missing-name':
            return problem('invalid', { errors: [{ pointer: '#/device', code: 'missing' }] });
          case 'bad-name':
            return problem('invalid', {
              errors: [{ pointer: '#/device', code: 'bad-characters', most: deviceCharacters }],
            });
          case 'impossible':
          case 'not-allowed':
            return problem(made.kind);
          default:
            return made satisfies never;
        }
      },
    ),
    read(
      '/profile-links/:id',
      'full',
      { summary: 'What became of a link.', result: linkShape },
      async ({ session, id }) => {
        const row = id === null ? null : await links.find(session.account, id);
        if (row === null) return problem('not-found');
        return result({
          id: row.id.toString('hex'),
          device: row.device,
          until: isoOf(row.not_after),
          state: row.used_at !== null ? 'used' : row.not_after > now() ? 'open' : 'over',
          usedAt: isoOf(row.used_at),
          usedAddress: row.used_address,
          credential: row.credential_id?.toString('hex') ?? null,
        });
      },
    ),
    act(
      '/profile-links/:id/cancel',
      'full',
      { summary: 'Voids a link that was not used.', body: {}, result: doneShape },
      async ({ session, id }) => {
        const row = id === null ? null : await links.find(session.account, id);
        if (row === null) return problem('not-found');
        await links.cancel(session.account, row.id);
        return result(done);
      },
    ),
  ];
}
