/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_BOUNDS_H
#define ARROW_FS_BOUNDS_H

/* What a guest can make the server hold at most. What is too much is an error of that request. */

#define FS_DATA_MAX (1u << 20)               /* bytes of one read or write */
#define FS_REQUEST_MAX (FS_DATA_MAX + 4096u) /* bytes of a request with its headers */
#define FS_NODES_MAX (1u << 24)              /* files that the guest knows */
#define FS_NODE_FDS_MAX 8192u /* of these with a descriptor; others are opened again by name */
#define FS_HANDLES_MAX 65536u /* open files and directories */
#define FS_OWNERS_MAX 4096u   /* pairs of a process and a file on which it has POSIX locks */
#define FS_WAITS_MAX 100u     /* locks that are waited for */
#define FS_READERS_MAX 4u     /* reads of .arrow-waits that wait */
#define FS_JOBS_MAX 256u      /* requests that a thread is to do */
#define FS_THREADS_MAX (FS_WAITS_MAX + 8u)
#define FS_COPY_MAX (64u << 20) /* bytes that one copy_file_range copies */
#define FS_DEPTH_MAX 65536u     /* directories above a file that is opened again by name */

#endif
