import { KeyFileError } from '../credentials/key-file.ts';
import { type ControlCommand, RefusedOrder } from './server.ts';

/** `keys-reload`: takes what the key file holds by now into use. */
export function keyOrders(reloadKeys: () => Promise<void>): Readonly<Record<string, ControlCommand>> {
  return {
    'keys-reload': async (_, { operator, logger }) => {
      try {
        await reloadKeys();
      } catch (error) {
        if (error instanceof KeyFileError)
          throw new RefusedOrder(`The gateway keeps its keys: ${error.message}.`);
        throw error;
      }
      logger.info({ operator }, 'keys reloaded by an operator');
      return {};
    },
  };
}
