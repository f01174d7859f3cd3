/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_STAGE_H
#define ARROW_GUEST_STAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Places of the initramfs. */
#define STAGE_DIR "/stage"           /* dev, proc and sys that go into the root */
#define PRIVILEGED_DIR "/privileged" /* the same, of a privileged Arrow */
#define LOWER_DIR "/lower"           /* the image */
#define UPPER_DIR "/changes"         /* what is written to the root */
#define ROOT_DIR "/root"             /* both, one over the other */
#define SHARES_DIR "/shares"         /* of the host, one directory a tag */

/* Bytes of /dev/shm, until a job says otherwise. */
#define SHM_SIZE 67108864u
#define SHM_SIZE_TEXT "67108864"

/* What is prepared for the job. */
struct stage {
	int upper, lower; /* the root's changes, and what they lie above; or -1 */
	bool mounted;     /* the root is, before its job is there */
	int sysctl;       /* /proc/sys, writable, though it is read-only for programs */
	int vmstat;
	int log;            /* of the kernel, from before the job on */
	int driver;         /* of network cards, in sysfs, where there is a spare one; else 0 */
	char spare[16];     /* its device */
	uint64_t oom_kills; /* so far */
	int null;           /* /dev/null, to read */
	/* Of the program's stdout and stderr: its ends, and the loader's; -1 once they are in use.
	 */
	int theirs[2], ours[2];
	bool watched; /* ours are, by the loop */
};

/* Failing here is fatal: returns 0 or -errno with the step in *what. */
int stage_prepare(struct stage *stage, const char **what);

/* Makes the pipes of the program, anew if there are any. Returns 0 or -errno. */
int stage_pipes(struct stage *stage);

/* One pipe: theirs for a program, ours (which does not block) for the loader. 0 or -errno. */
int stage_pipe(bool to_program, int *theirs, int *ours);
void stage_close_pipes(struct stage *stage);

/* Builds dev, proc and sys in dir, which exists. Returns 0 or -errno with the step in *what. */
int stage_build(const char *dir, bool privileged, const char **what);

/* How often the kernel's OOM killer has killed a process. */
uint64_t stage_oom_kills(const struct stage *stage);

/* From now on what the kernel logs belongs to the job. */
void stage_watch_log(struct stage *stage);

/* Whether the OOM killer may have killed a process: the kernel says so in its log. */
bool stage_log_grew(const struct stage *stage);

#endif
