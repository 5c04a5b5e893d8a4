import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';

const text = readFileSync(join(import.meta.dirname, '../../config/sallyport.example.yaml'), 'utf8');
const example: unknown = parse(text);

/** Names of all settings, whatever they lie under. */
function settingNames(schema: unknown, names = new Set<string>()): Set<string> {
  if (Array.isArray(schema)) for (const each of schema) settingNames(each, names);
  else if (typeof schema === 'object' && schema !== null) {
    for (const [key, value] of Object.entries(schema)) {
      if (key === 'properties') for (const name of Object.keys(value as object)) names.add(name);
      settingNames(value, names);
    }
  }
  return names;
}

describe('config/sallyport.example.yaml', () => {
  it('is a valid configuration', () => {
    expect(configSchema.safeParse(example).error?.issues ?? []).toEqual([]);
  });

  it('explains every setting there is', () => {
    const names = settingNames(z.toJSONSchema(configSchema, { io: 'input' }));
    expect(names.size).toBeGreaterThan(50);
    const unexplained = [...names].filter((name) => !new RegExp(`\\b${name}:`).test(text));
    expect(unexplained).toEqual([]);
  });

  it.each(
    [
      ['state_dir'],
      ['keys_file'],
      ['workers'],
      ['tls', 'min_version'],
      ['listen', '0', 'host'],
      ['listen', '1', 'host'],
      ['portal', 'host'],
      ['portal', 'tls'],
      ['metrics', 'host'],
      ['database'],
      ['backends', 'office', 'forward'],
      ['backends', 'office', 'deny_users'],
      ['domains', 'example.com', 'mfa'],
      ['domains', 'example.com', 'main_password'],
      ['app_passwords'],
      ['revocation'],
      ['throttle'],
      ['limits'],
      ['log_level'],
    ].map((path) => ({ setting: path.join('.'), path })),
  )('shows the default of $setting', ({ path }) => {
    const bare: unknown = structuredClone(example);
    const name = path.at(-1) ?? '';
    const parent = path.slice(0, -1).reduce((at, key) => (at as Record<string, unknown>)[key], bare);
    expect(parent).toHaveProperty([name]);
    delete (parent as Record<string, unknown>)[name];
    expect(configSchema.parse(bare)).toEqual(configSchema.parse(example));
  });
});
