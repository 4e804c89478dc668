export function ensureMachineRoot(say?: (line: string) => void): Promise<string>
