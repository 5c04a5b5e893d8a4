import { foreignText } from '../foreign-text.ts';
import type { BackendReply } from './backend-reply.ts';
import { imapLimits } from './limits.ts';
import { untagged, untaggedData } from './response.ts';

/**
 * An untagged response to our login as the client may read it behind its own OK, or null (wire 42). It answers a command
 * that carried the master password: whatever could quote that is left out (S-91), and so is what leads elsewhere (wire 50).
 */
export function forClient(reply: BackendReply, raw: Buffer): Buffer | null {
  switch (reply.kind) {
    case 'status': {
      if (reply.status !== 'OK' && reply.status !== 'NO' && reply.status !== 'BAD') return null;
      if (reply.code?.name === 'REFERRAL') return null;
      const text = foreignText(reply.text);
      return text === '' ? null : untagged(reply.status, reply.code?.name === 'ALERT' ? 'ALERT' : null, text);
    }
    case 'data': {
      const data = /^\* (?!ID\b)([\x20-\x7e]+)\r?\n$/i.exec(raw.toString('latin1'))?.[1];
      const isFit =
        data !== undefined && data.length < imapLimits.lineBytes - 4 && !/[A-Za-z0-9+/=]{24,}/.test(data);
      return isFit ? untaggedData(data) : null;
    }
    case 'continuation':
    case 'capabilities':
    case 'unreadable':
      return null;
    default:
      return reply satisfies never;
  }
}
