/**
 * Whether this process is the main process of a systemd unit, as the daemon is. Then something may be forbidden by its unit.
 * `exec` in a CI job is no such process.
 */
export const IS_UNIT = process.env.SYSTEMD_EXEC_PID === `${process.pid}`
