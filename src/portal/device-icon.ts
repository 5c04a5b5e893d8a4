/** What an app password runs on, as far as its name and its client give it away. Names symbols of assets/icons.svg. */
export type DeviceIcon = 'phone' | 'tablet' | 'laptop' | 'printer' | 'script' | 'mail';

const signs: readonly (readonly [RegExp, DeviceIcon])[] = [
  [/ipad|tablet|planšet/i, 'tablet'],
  [/iphone|android|phone|tālru|telef|galaxy|pixel|k-9/i, 'phone'],
  [/scan|skener|printer|print|copier|kop[ēi]|mfp|fax/i, 'printer'],
  [/script|skript|cron|server|python|curl|backup|monitor|nagios|api/i, 'script'],
  [
    /mac|windows|linux|laptop|desk|computer|dators|outlook|thunderbird|evolution|pc\b|office|work|darb/i,
    'laptop',
  ],
];

/** The name first: its owner knows better than a client's word. */
export function deviceIconOf(label: string, client: string | null): DeviceIcon {
  for (const text of [label, client ?? '']) {
    const found = signs.find(([sign]) => sign.test(text));
    if (found !== undefined) return found[1];
  }
  return 'mail';
}
