export declare const SUITES: readonly ('bookworm' | 'trixie')[]
export declare function ensureMachineRoot(suite?: string, say?: (line: string) => void): Promise<string>
