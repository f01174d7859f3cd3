/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_BLOB_H
#define ARROW_FS_BLOB_H

/* The server of volumes, a static program: from the first to before _end. */
extern const unsigned char arrow_fs_program[];
extern const unsigned char arrow_fs_program_end[];
/* Its SHA-256, in hexadecimal digits. */
extern const char arrow_fs_digest[];

#endif
