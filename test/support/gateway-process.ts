import { destination } from 'pino';
import { loadConfig } from '../../src/config/load.ts';
import { startGateway } from '../../src/main.ts';
import { createLogger } from '../../src/observability/logger.ts';

// Run as a process of its own: CONFIG LOGFILE TIMING. As `serve`, with the times of TIMING (JSON); prints its ports when ready.
const [file = '', logFile = '', timing = '{}'] = process.argv.slice(2);
const loaded = await loadConfig(file, {});
if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
const { config, secrets } = loaded;
const logger = createLogger(config.logLevel, destination({ dest: logFile, sync: true }));
const gateway = await startGateway({
  config,
  secrets,
  logger,
  timing: JSON.parse(timing) as { revocationPollMs?: number },
});
process.once('SIGTERM', () => void gateway.stop().then(() => process.exit(0)));
process.stdout.write(`${JSON.stringify(gateway.ports)}\n`);
