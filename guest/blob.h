/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_BLOB_H
#define ARROW_GUEST_BLOB_H

/* The initramfs (cpio, not compressed) whose /init is the loader: from the first to before _end. */
extern const unsigned char arrow_initramfs[];
extern const unsigned char arrow_initramfs_end[];
/* Its SHA-256, in hexadecimal digits. */
extern const char arrow_initramfs_digest[];

/* The EROFS image of the rehearsal's root, whose /rehearsal is its program. */
extern const unsigned char arrow_warm_image[];
extern const unsigned char arrow_warm_image_end[];

/* The same for an exported Arrow, whose job is a file /job: that is still to be appended. */
extern const unsigned char arrow_alone_initramfs[];
extern const unsigned char arrow_alone_initramfs_end[];

#endif
