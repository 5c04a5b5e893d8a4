import { start, step } from '../../protocol/imap/preauth.ts';
import { untagged } from '../../protocol/imap/response.ts';
import { openImap } from '../../upstream/imap.ts';
import type { Door, DoorParts } from './door.ts';
import { createSplicedDoor } from './spliced.ts';

export function createImapDoor(parts: DoorParts): Door {
  return createSplicedDoor(
    parts,
    {
      protocol: 'imap',
      start,
      step,
      open: openImap,
      accepted: ({ capabilities }) => ({ capabilities, text: 'Logged in' }),
      refusal: ({ imap }) => imap,
    },
    untagged('BYE', 'UNAVAILABLE', 'Too many connections'),
  );
}
