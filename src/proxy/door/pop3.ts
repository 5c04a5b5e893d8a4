import { start, step } from '../../protocol/pop3/preauth.ts';
import { err } from '../../protocol/pop3/response.ts';
import { openPop3 } from '../../upstream/pop3.ts';
import type { Door, DoorParts } from './door.ts';
import { createSplicedDoor } from './spliced.ts';

export function createPop3Door(parts: DoorParts): Door {
  return createSplicedDoor(
    parts,
    {
      protocol: 'pop3',
      start,
      step,
      open: openPop3,
      accepted: ({ text }) => ({ text }),
      refusal: ({ pop3 }) => pop3,
    },
    err('SYS/TEMP', 'Too many connections.'),
  );
}
