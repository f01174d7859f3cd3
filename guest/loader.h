/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_LOADER_H
#define ARROW_GUEST_LOADER_H

/*
 * The loader is PID 1 of an Arrow's VM. It prepares what no job changes (stage.c), says READY and
 * waits; a template is frozen there. With the job it makes the VM one of a kind (identity.c),
 * enters the root (root.c), starts the program (start.c, tty.c) and carries its streams
 * (stream.c, channel.c) in one loop (main.c) until all of it has ended. Processes beside the
 * program are started the same way (exec.c), or are workers of its own (worker.c).
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
#include "protocol/protocol.h"
#include "guest/user.h"

#define PROGRAM 1u /* the process whose end is the end of the Arrow */

/* Places of the initramfs. */
#define STAGE_DIR "/stage"           /* dev, proc and sys that go into the root */
#define PRIVILEGED_DIR "/privileged" /* the same, of a privileged Arrow */
#define LOWER_DIR "/lower"           /* the image */
#define UPPER_DIR "/changes"         /* what is written to the root */
#define ROOT_DIR "/root"             /* both, one over the other */
#define SHARES_DIR "/shares"         /* 9p, one directory a tag */

/* Open files of a program. The kernel's 4096 are too few for servers, which raise theirs. */
#define FILES_SOFT 1024u
#define FILES_HARD 524288u

/* Bytes of /dev/shm, until a job says otherwise. */
#define SHM_SIZE 67108864u
#define SHM_SIZE_TEXT "67108864"

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

/* Records as they come: those of the job, or of an EXEC. */
struct records {
	uint8_t *data;
	size_t size, room;
	bool overflow; /* there was no room for all of them */
};

struct process {
	bool used;
	bool alive;
	bool tell_start; /* STARTED is still to be sent, and before anything else */
	bool tell_exit;  /* EXITED is still to be sent (of others than the program) */
	uint32_t exit_how, exit_value;
	struct failure *failure; /* FAILED is still to be sent; then nothing else is in use */
	struct records records;  /* what EXEC has brought so far */
	bool host_killed; /* the host sent SIGKILL itself, so that is not for want of memory */
	pid_t pid;
	int tty;   /* pty master, or -1 */
	int slave; /* the loader's own, so that output is not lost while nobody has it open */
	struct input in;
	struct output out[2];
};

/* What stage.c leaves for the job. */
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

#define HOLD_CPUS 64u /* as many as a VM can have */

/* The processors, kept from programs (hold.c). */
struct hold {
	unsigned long before[HOLD_CPUS / 64]; /* where the loader may run; bit n is processor n */
	void *shared;        /* with those that keep the other processors, or NULL */
	unsigned int others; /* how many */
};

struct loader {
	int epoll;
	int signals; /* signalfd of SIGCHLD */
	enum { LIFE_WAIT, LIFE_RUN, LIFE_DRAIN, LIFE_DONE } life;
	uint64_t deadline; /* ms of now_ms(): LIFE_DRAIN gives up, LIFE_DONE reboots */
	bool children;     /* there may be some to reap */
	bool notes;
	bool rehearsal;    /* this is a copy that ends after its job */
	bool outlives;     /* what is written may outlive the VM: there are volumes, or may be */
	uint64_t ready_us; /* guest's time of READY */
	struct stage stage;
	struct records records; /* of the job */
	struct job job;         /* what the program was started with, for those beside it */
	struct process processes[ARROW_PROCESSES]; /* process p is [p - 1] */
	uint32_t top;                              /* the highest number in use */
	uint8_t control[16];                       /* payload of the control frame that comes in */
	size_t control_size;
	uint8_t dropped[4096]; /* what nobody takes */
	bool held;        /* between SAVE and RESUME or RESTORE: programs and streams stand still */
	bool clock_asked; /* the host has not answered yet */
	struct hold hold;
	struct channel channel;
};

/* stage.c. Failing here is fatal: returns 0 or -errno with the step in *what. */
int stage_prepare(struct stage *stage, const char **what);
/* Makes the pipes of the program, anew if there are any. Returns 0 or -errno. */
int stage_pipes(struct stage *stage);
/* One pipe: theirs for a program, ours (which does not block) for the loader. */
int stage_pipe(bool to_program, int *theirs, int *ours);
void stage_close_pipes(struct stage *stage);
/* Builds dev, proc and sys in dir, which exists. */
int stage_build(const char *dir, bool privileged, const char **what);
/* How often the kernel has killed a process for want of memory. */
uint64_t stage_oom_kills(const struct stage *stage);
/* From now on what the kernel logs is of the job. */
void stage_watch_log(struct stage *stage);
/* Whether the kernel may have killed a process for want of memory: it says so in its log. */
bool stage_log_grew(const struct stage *stage);

/* identity.c: what no job changes. Returns 0 or -errno. */
int identity_prepare(void);
/* Each returns 0 or a negative errno and fills in the failure. */
int identity_unique(const struct job *job, struct failure *failure);
int identity_sysctls(const struct stage *stage, const struct job *job, struct failure *failure);
int identity_files(const struct job *job, struct failure *failure);
/* The same in the layer of changes: dir is its /etc, and image that of the image below, or -1. */
int identity_files_beside(const struct job *job, int dir, int image, struct failure *failure);
void identity_loopback(void);
/* /etc/resolv.conf of the job. Returns 0 or a negative errno. */
int identity_resolver(const struct job *job);
/* Removes /etc/machine-id if it is this one, so that identity_files() makes another. */
void identity_forget_machine(const uint8_t machine_id[16]);

/*
 * network.c: what no job changes, so that it is done in the template; then the job's MAC, addresses
 * and routes.
 */
void network_prepare(const struct stage *stage);
/* Before that: takes the spare card from the eyes of programs. */
void network_hide_spare(struct stage *stage);
int network_configure(const struct stage *stage, const struct job *job, struct failure *failure);
/* The same in a restored Arrow, in place of what the saved one had. */
int network_renew(const struct stage *stage, const struct job *job, struct failure *failure);

/*
 * root.c: mounts the disk as a root before there is a job: a uniform image is as good as the one
 * that is there now (protocol.h). Without success it is mounted with the job, as any other.
 */
void root_mount(struct stage *stage);
/* Takes that back. Returns 0 or -errno. */
int root_unmount(struct stage *stage);
/* Mounts the root, if it is not, and enters it; then the volumes. */
int root_enter(struct stage *stage, const struct job *job, struct failure *failure);

/*
 * start.c: starts a program, or a worker, with its streams; first is true for the program of the
 * Arrow. The process is used and alive on success; else nothing of it is left.
 */
int start_process(struct stage *stage, const struct job *job, bool first, struct process *process,
	struct failure *failure);

/*
 * limits.c: whether a process is held by the program's cgroup. The loader enters it before vfork(),
 * so that the process and all its children are born in it, and leaves it afterwards.
 */
bool limits_hold(const struct job *job, bool first);
int limits_enter(const struct job *job, bool first, struct failure *failure);
int limits_leave(void);

/* exec.c: processes beside the program. */
/* Where the next records of the process go and how much fits, or NULL; stream.c calls it. */
uint8_t *exec_room(struct loader *loader, uint32_t number, size_t *size);
void exec_took(struct loader *loader, uint32_t number, size_t size);
/* The records are whole: starts the process. */
void exec_begin(struct loader *loader, uint32_t number);
/* Sends what is to be told of processes, and frees those of which all is told. */
void exec_pump(struct loader *loader);

/*
 * warm.c: has a copy of the loader do a job. Returns 1 in the copy, 0 in the loader once the copy
 * has ended, or a negative errno in either.
 */
int warm_rehearse(struct stage *stage);

/* worker.c: a part of the loader that runs as a process of its own, or NULL. */
typedef int worker_main(const struct stage *stage, int argc, char **argv);
worker_main *worker_find(const char *name);

/* tty.c */
/* first: of the program, so it is /dev/console too */
int tty_open(const struct job *job, bool first, int *master, int *slave, struct failure *failure);
void tty_resize(int master, uint16_t rows, uint16_t columns);
/* The byte that means end of input, or -1 when the terminal is in no such mode. */
int tty_eof_byte(int master);

/* stream.c */
struct process *stream_process(struct loader *loader, uint32_t number);
/* From now on the program's stdin is taken, which may come before there is a program. 0 or -errno.
 */
int stream_expect(struct loader *loader);
int stream_watch(struct loader *loader, uint32_t number);
void stream_ready(struct loader *loader, uint16_t stream, uint32_t events);
/* Takes what the host sends. */
struct channel_sink stream_sink(struct loader *loader);
/* Moves what can be moved. True if anything did. */
bool stream_pump(struct loader *loader);
/* A terminal tells unreliably when it takes input again. True if one is worth another try. */
bool stream_retry(struct loader *loader);
/* The process is gone: its stdin is void, and of its output only what is left. */
void stream_process_ended(struct process *process);
/* Closes all streams of a process at once. */
void stream_close(struct process *process);
/* Memory for more records, at most `max` bytes of them; NULL when there is none. */
uint8_t *records_room(struct records *records, size_t max, size_t *size);
/* True when all output, with its end, is in the queue. */
bool stream_drained(const struct loader *loader);
/* A restored Arrow: the streams of a process begin anew, with another host. */
void stream_rebind(struct loader *loader, uint32_t number, const struct job *job);
/* Gives up on output that does not end. */
void stream_abandon(struct loader *loader);

/* hold.c: programs do not run from hold_begin() on. Returns 0 or a negative errno. */
int hold_begin(struct hold *hold);
/* Gives back the other processors: the loader may need what a program there has locked. */
void hold_others_end(struct hold *hold);
void hold_end(struct hold *hold);

/* restore.c: the clock is asked of the host; its answer may come while other work is done. */
void clock_ask(struct loader *loader);
void clock_answer(struct loader *loader, uint64_t asked, uint64_t host);
/* Waits for the answer, for a while. Returns 0 or a negative errno of the channel. */
int clock_wait(struct loader *loader);
/* SAVE: returns when the VM goes on, be it this one or one that was restored. */
void save_hold(struct loader *loader);
/* RESTORE: the records have come. */
void restore_begin(struct loader *loader);

/* main.c: what the host is told of the program. */
void loader_started(struct loader *loader);
void loader_failed(struct loader *loader, const struct failure *failure);
/* main.c: control frames. */
void loader_note(struct loader *loader, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Acts on a control frame, whose first `size` bytes of payload are in loader->control. */
int loader_control(struct loader *loader, const struct arrow_frame *frame, size_t size);

#endif
