import { describe, expect, it } from '@jest/globals';
import { formatPhc, parsePhc } from '../../src/credentials/phc.ts';
import { countingBytes } from './keys.ts';

const salt = 'AAECAwQFBgcICQoLDA0ODw';
const tag = countingBytes(0).toString('base64').replace(/=+$/, '');

describe('S-21: parameters of a row are capped before anything is hashed', () => {
  it('reads what it writes', () => {
    const hash = {
      memoryKib: 12_288,
      passes: 3,
      lanes: 1,
      salt: countingBytes(0, 16),
      tag: countingBytes(0),
    };
    expect(formatPhc(hash)).toBe(`$argon2id$v=19$m=12288,t=3,p=1$${salt}$${tag}`);
    expect(parsePhc(formatPhc(hash))).toEqual(hash);
  });

  it('reads any order of parameters', () => {
    expect(parsePhc(`$argon2id$v=19$p=1,m=12288,t=3$${salt}$${tag}`)?.memoryKib).toBe(12_288);
    expect(parsePhc(`$argon2id$v=19$m=65536,t=10,p=4$${salt}$${tag}`)?.lanes).toBe(4);
  });

  it.each([
    `$argon2id$v=19$m=65537,t=3,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=1048576,t=3,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=12288,t=11,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=12288,t=3,p=5$${salt}$${tag}`,
    `$argon2id$v=19$m=12288,t=0,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=8,t=3,p=4$${salt}$${tag}`,
    `$argon2id$v=19$m=99999999999,t=3,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=12288,m=12288,p=1$${salt}$${tag}`,
    `$argon2id$v=16$m=12288,t=3,p=1$${salt}$${tag}`,
    `$argon2i$v=19$m=12288,t=3,p=1$${salt}$${tag}`,
    `$argon2d$v=19$m=12288,t=3,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=12288,t=3,p=1$AAECAwQFBgc$${tag}`,
    `$argon2id$v=19$m=12288,t=3,p=1$${'A'.repeat(44)}$${tag}`,
    `$argon2id$v=19$m=12288,t=3,p=1$${salt}$${tag.slice(0, 22)}`,
    `$argon2id$v=19$m=12288,t=3,p=1$${salt}$${tag}AAAA`,
    `$argon2id$v=19$m=12288,t=3,p=1$${salt}=$${tag}`,
    `$argon2id$v=19$m=12288,t=3,p=1,data=AA$${salt}$${tag}`,
    '',
  ])('%s is refused', (phc) => {
    expect(parsePhc(phc)).toBeNull();
  });
});
