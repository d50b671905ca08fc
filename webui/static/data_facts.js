// What is said of a dataset in a few words: its format, rows, size and origin.

import { formatCount, t } from "./text.js";

/** What the list and the head of the view say of a dataset. */
export function facts({ formatting, rows, size_bytes, origin }) {
  const found = [formatting, rowsCount(rows)];
  if (size_bytes) found.push(fileSize(size_bytes));
  if (origin && origin !== "local") found.push(t(`data.origin_${origin}`, {}, origin));
  return found.filter(Boolean);
}

/** "1 row", "1,230 rows"; "" where nobody has counted. */
export function rowsCount(rows) {
  if (rows === null || rows === undefined) return "";
  return t(rows === 1 ? "data.rows_count_one" : "data.rows_count", { count: formatCount(rows) });
}

export function fileSize(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}
