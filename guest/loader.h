/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_LOADER_H
#define ARROW_GUEST_LOADER_H

/*
 * The loader is PID 1 of an Arrow's VM. It prepares what no job changes (stage.c), says READY and
 * waits; a template is frozen there. With the job it makes the VM one of a kind (identity.c),
 * enters the root (root.c), starts the program (start.c, tty.c) and carries its streams
 * (stream.c, channel.c) in one loop (main.c) until all of it has ended.
 *
 * It holds no secrets and defends nothing in the guest: the border is the VM. It must survive any
 * program, though: nothing here blocks on a stream, and what the program can grow is bounded.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/channel.h"
#include "guest/job.h"
#include "guest/protocol.h"
#include "guest/user.h"

#define PROCESSES 16u /* processes of an Arrow that have streams; exec will need more than one */

/* Places of the initramfs. */
#define STAGE_DIR "/stage"           /* dev, proc and sys that go into the root */
#define PRIVILEGED_DIR "/privileged" /* the same, of a privileged Arrow */
#define LOWER_DIR "/lower"           /* the image */
#define UPPER_DIR "/changes"         /* what is written to the root */
#define ROOT_DIR "/root"             /* both, one over the other */
#define SHARES_DIR "/shares"         /* 9p, one directory a tag */

/* Why the job cannot be done, for ARROW_FAILED. */
struct failure {
	uint32_t status; /* 125, 126, 127 */
	int err;
	char text[ARROW_TEXT_MAX - 64];
};

/* Fills it in, cutting text that is too long. "%m" prints err. Returns -err. */
int fail(struct failure *failure, uint32_t status, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* What the host sends to the program: stdin. A ring of ARROW_WINDOW bytes. */
struct input {
	int fd; /* write end of the pipe, or the terminal; -1 when it is closed */
	bool writable;
	bool gone;      /* the program has closed its end */
	bool ended;     /* the host has sent EOF */
	bool tell;      /* CLOSED is still to be sent */
	uint32_t start; /* ring: first byte, and how many there are */
	uint32_t length;
	uint32_t passed; /* bytes whose credit has not been returned */
	uint8_t *ring;
};

/* What the program sends to the host: stdout or stderr. */
struct output {
	int fd; /* read end of the pipe, or the terminal; -1 when it is closed */
	bool readable;
	bool hung_up;  /* nobody has the other end any more: what is left, then the end */
	bool tell;     /* EOF is still to be sent */
	bool unwanted; /* the host has said CLOSED: read and drop */
	uint32_t credit;
};

struct process {
	bool used;
	bool alive;
	bool host_killed; /* the host sent SIGKILL itself, so that is not for want of memory */
	pid_t pid;
	int tty;   /* pty master, or -1 */
	int slave; /* the loader's own, so that output is not lost while nobody has it open */
	struct input in;
	struct output out[2];
};

/* What stage.c leaves for the job. */
struct stage {
	int sysctl; /* /proc/sys, writable, though it is read-only for programs */
	int vmstat;
	uint64_t oom_kills; /* so far */
};

struct loader {
	int epoll;
	int signals; /* signalfd of SIGCHLD */
	enum { LIFE_WAIT, LIFE_RUN, LIFE_DRAIN, LIFE_DONE } life;
	uint64_t deadline; /* ms of now_ms(): LIFE_DRAIN gives up, LIFE_DONE reboots */
	bool children;     /* there may be some to reap */
	bool notes;
	uint64_t ready_us; /* guest's time of READY */
	struct stage stage;
	uint8_t *job; /* its bytes so far */
	size_t job_size, job_room;
	bool job_overflow;                   /* there was no room for all of it */
	struct process processes[PROCESSES]; /* process p is [p - 1] */
	uint8_t control[16];                 /* payload of the control frame that comes in */
	size_t control_size;
	uint8_t dropped[4096]; /* what nobody takes */
	struct channel channel;
};

/* stage.c. Failing here is fatal: returns 0 or -errno with the step in *what. */
int stage_prepare(struct stage *stage, const char **what);
/* Builds dev, proc and sys in dir, which exists. */
int stage_build(const char *dir, bool privileged, const char **what);
/* How often the kernel has killed a process for want of memory. */
uint64_t stage_oom_kills(const struct stage *stage);

/* identity.c: each returns 0 or a negative errno and fills in the failure. */
int identity_unique(const struct job *job, struct failure *failure);
int identity_sysctls(const struct stage *stage, const struct job *job, struct failure *failure);
int identity_files(const struct job *job, struct failure *failure);
void identity_loopback(void);

/* root.c: mounts the root and enters it; then the volumes. */
int root_enter(const struct job *job, struct failure *failure);

/* start.c: starts process 1 with its streams. The process is used and alive on success. */
int start_program(const struct job *job, struct process *process, struct failure *failure);

/* tty.c */
int tty_open(const struct job *job, int *master, int *slave, struct failure *failure);
void tty_resize(int master, uint16_t rows, uint16_t columns);
/* The byte that means end of input, or -1 when the terminal is in no such mode. */
int tty_eof_byte(int master);

/* stream.c */
struct process *stream_process(struct loader *loader, uint32_t number);
int stream_watch(struct loader *loader, uint32_t number);
void stream_ready(struct loader *loader, uint16_t stream, uint32_t events);
/* Takes what the host sends. */
struct channel_sink stream_sink(struct loader *loader);
/* Moves what can be moved. True if anything did. */
bool stream_pump(struct loader *loader);
/* A terminal tells unreliably when it takes input again. True if one is worth another try. */
bool stream_retry(struct loader *loader);
/* The program is gone: its stdin is void, and of its output only what is left. */
void stream_program_ended(struct process *process);
/* True when all output, with its end, is in the queue. */
bool stream_drained(const struct loader *loader);
/* Gives up on output that does not end. */
void stream_abandon(struct loader *loader);

/* main.c: control frames. */
void loader_note(struct loader *loader, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Acts on a control frame, whose first `size` bytes of payload are in loader->control. */
int loader_control(struct loader *loader, const struct arrow_frame *frame, size_t size);

#endif
