import { loadConfig } from '../config/load.ts';
import { ControlSocketError } from '../control/socket-file.ts';
import { RestoredDatabaseError } from '../credentials/restored-database.ts';
import { startGateway } from '../main.ts';
import { createLogger } from '../observability/logger.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode } from './io.ts';
import { configFileOf, configurationOf, explainOutage, keysOf } from './workbench.ts';

/** `serve`: the gateway in the foreground. SIGTERM and SIGINT drain, a second one stops; SIGHUP reloads certificates. */
export async function runServe(options: CommonOptions, io: CommandIo): Promise<void> {
  const { config, secrets, warnings } = await configurationOf(options, io);
  await keysOf(config);
  const logger = createLogger(config.logLevel);
  for (const warning of warnings) logger.warn(warning);
  const gateway = await startGateway({ config, secrets, logger }).catch((error: unknown) => {
    if (error instanceof RestoredDatabaseError || error instanceof ControlSocketError) {
      throw new CommandFailure(exitCode.configuration, error.message);
    }
    throw explainOutage(error, config);
  });
  logger.info({ ports: gateway.ports }, 'ready');

  const onHangup = () => {
    loadConfig(configFileOf(options, io), io.environment)
      .then(async (loaded) => {
        // A broken file must not end a gateway that works.
        if (loaded.kind === 'loaded') await gateway.reload(loaded);
        else logger.error({ problems: loaded.problems }, 'configuration not reloaded');
      })
      .catch((error: unknown) => logger.error({ err: error }, 'configuration not reloaded'));
  };
  process.on('SIGHUP', onHangup);
  await aborted(io.signal);
  logger.info('draining');
  process.once('SIGTERM', () => void gateway.stop());
  process.once('SIGINT', () => void gateway.stop());
  await gateway.drain();
  process.off('SIGHUP', onHangup);
  logger.info('stopped');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
