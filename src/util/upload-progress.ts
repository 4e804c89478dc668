/** How far an upload is. The uploader writes it; `status` shows it. Bytes are counted as they are sent, compressed. */
export interface UploadProgress {
  sentBytes: number
  /** The total, as far as it is known yet. */
  expectedBytes: number
}
