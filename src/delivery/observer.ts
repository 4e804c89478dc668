/** The result of a batch for one job: deferred means that the destination is down, retried that the job itself failed. */
export const RESULTS = ['delivered', 'skipped', 'deferred', 'retried', 'failed'] as const
export type Result = (typeof RESULTS)[number]

/** Is told what happens, to count it. */
export interface Observer {
  onResult(destination: string, result: Result): void
  onBatch(destination: string, ms: number): void
}
