/**
 * Whether this process is the main one of a unit of systemd's, as the daemon is: then its unit may be in the way of what it may not
 * do. `exec` in a CI job is none, whatever runs the job.
 */
export const IS_UNIT = process.env.SYSTEMD_EXEC_PID === `${process.pid}`
