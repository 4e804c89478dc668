/** How far an upload is: written by whoever uploads, read by whoever shows it. Bytes as they go over the wire. */
export interface UploadProgress {
  sentBytes: number
  /** What there is to send in all, as far as it is known yet. */
  expectedBytes: number
}
