/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_PROTOCOL_PROTOCOL_H
#define ARROW_PROTOCOL_PROTOCOL_H

/*
 * The wire format between host and guest, used unchanged by both sides and, between a client and
 * its keeper, on the attach socket. docs/protocol.md explains it; this header and those of the
 * encoders and decoders (frame.h, record.h, entries.h) are the authority.
 *
 * A channel is a byte stream of frames: an 8 byte header, then `length` bytes. All integers are
 * little-endian. Stream 0 is the control stream. Process p (1 is the program of the Arrow) has
 * the streams p * 4 + fd for fd 0 (stdin), 1 (stdout), 2 (stderr).
 *
 * Credit: the sender of DATA on a stream may have at most ARROW_WINDOW bytes in flight. The
 * receiver returns credit when it has passed bytes on. So a full pipe stops its own stream only,
 * and neither side ever has to buffer more than a window a stream.
 */

#include <stdint.h>
#include <string.h>

#define ARROW_PROTOCOL_VERSION 1u
#define ARROW_FRAME_HEADER 8u
#define ARROW_FRAME_MAX 32768u              /* payload of one frame, bytes */
#define ARROW_WINDOW (256u * 1024u)         /* credit of a new stream, bytes */
#define ARROW_JOB_MAX (16u * 1024u * 1024u) /* a whole job, bytes */
#define ARROW_TEXT_MAX 1024u                /* a line of text in a frame, bytes */
#define ARROW_EXEC_MAX (4u * 1024u * 1024u) /* the records of one EXEC, bytes */
#define ARROW_ERRNO_MAX 4095u               /* errors of Linux */
#define ARROW_PROCESSES 256u                /* processes are numbered from 1 to this */

#define ARROW_CONTROL 0u
#define ARROW_STREAM(process, fd) ((uint16_t)((process)*4u + (fd)))
#define ARROW_STREAM_PROCESS(stream) ((uint32_t)(stream) / 4u)
#define ARROW_STREAM_FD(stream) ((uint32_t)(stream) % 4u)

/* The name of the virtio-serial port that carries the channel, and its node in the guest. */
#define ARROW_PORT_NAME "arrow"

/* The tag of the share: the directory that has all volumes. */
#define ARROW_SHARES_TAG "volumes"
#define ARROW_PORT_NODE "/dev/vport0p1"

/* The last byte but one of a spare card's MAC at power-on. */
#define ARROW_SPARE_MAC 0x5au

enum arrow_frame_type {
	/*
	 * Any stream of a process, both ways. With a terminal, stderr ends at once. To stdout or
	 * stderr, CLOSED breaks the program's pipe and is answered with EOF.
	 */
	ARROW_DATA = 1,   /* bytes */
	ARROW_EOF = 2,    /* the sender has no more bytes */
	ARROW_CREDIT = 3, /* u32: the receiver has passed on so many bytes */
	ARROW_CLOSED = 4, /* the receiver takes no more (its pipe is broken); drop the rest */

	/* Control stream, host to guest. */
	ARROW_JOB = 16,      /* a piece of the job, in order */
	ARROW_JOB_END = 17,  /* the job is whole: start it; DATA of stdin may follow at once */
	ARROW_SIGNAL = 18,   /* u32 process, u32 signal number (Linux, x86) */
	ARROW_WINSIZE = 19,  /* u32 process, u16 rows, u16 columns */
	ARROW_EXEC = 20,     /* u32 process (2...), then a piece of its records, in order */
	ARROW_EXEC_END = 21, /* u32 process: its records are whole, start it; DATA may follow */
	ARROW_WARM = 30,     /* rehearse: READY, a job up to DONE, then READY again; no payload */
	ARROW_SAVE = 26,     /* the VM is about to be saved: hold still, and say SAVED */
	ARROW_RESUME = 27,   /* it was: this is the one that goes on */
	ARROW_RESTORE = 28,  /* this is one that was restored; the JOB before says who it is now */

	/*
	 * Control stream, both ways: u64 guest's monotonic ns, u64 host's ns since 1970. The guest
	 * asks with the first number alone, and the host answers at once with both. The host may
	 * send a zero to be asked.
	 */
	ARROW_TIME = 29,

	/* Control stream, guest to host. */
	ARROW_READY = 32,   /* u32 protocol version: the loader waits for its job */
	ARROW_STARTED = 33, /* u32 process, u32 pid: execve succeeded */
	ARROW_FAILED = 34,  /* u32 process, u32 exit status (125, 126, 127), u32 errno, text;
			       instead of STARTED. Without EXITED or EOF; after that of
			       process 1 DONE follows */
	ARROW_EXITED = 35,  /* u32 process, u32 enum arrow_exit, u32 value; output may follow */
	ARROW_DONE = 36,    /* all output is sent, file systems are synced: the VM may end */
	ARROW_NOTE = 37,    /* text for the log of `arrow run -v` */
	ARROW_SAVED = 42,   /* u32 errno or 0, u32 1 if stdin is open: nothing follows but RESUME's
			       or RESTORE's consequences */
};

/*
 * Control frames between a command and the keeper, on the Arrow's control socket; the guest never
 * sees them. Each request is answered with ANSWER, but for DETACH.
 */
enum arrow_request_type {
	ARROW_ATTACH = 48,  /* u32, bit n: take part in fd n of process 1 from now on */
	ARROW_DETACH = 49,  /* this command leaves; an Arrow in the foreground goes on without */
	ARROW_STOP = 50,    /* u32 signal or 0 for the Arrow's own, u32 seconds until SIGKILL;
			       answered once the Arrow has ended */
	ARROW_KILL = 51,    /* u32 signal: SIGNAL to process 1, by hand */
	ARROW_RESTART = 52, /* as STOP, then a start; answered once the program runs again */
	ARROW_RELOAD = 53,  /* u32 MiB of memory, 0: as it is; config.json has changed */
	ARROW_PAUSE = 54,   /* its processors stop; answered once they have */
	ARROW_UNPAUSE = 55,
	ARROW_SNAPSHOT = 56, /* u32 1 to stay paused, path of a file that is there: the VM is
				written to it whole; answered once it is */
	ARROW_NETWORKS = 57, /* the networks of config.json have changed: be on those; answered
				with the records of the cards for the worker `network`, if there
				is a guest to be told */

	ARROW_ANSWER =
		64, /* u32 type of the request, u32 errno or 0, text of an error; from the keeper */
};

enum arrow_exit {
	ARROW_EXIT_STATUS = 0, /* value is the exit status */
	ARROW_EXIT_SIGNAL = 1, /* value is the signal that ended it */
	ARROW_EXIT_OOM = 2,    /* killed when out of memory; value is the signal */
};

/*
 * A job is a sequence of records: u32 tag, u32 length, then `length` bytes. The tags that may
 * repeat say so. Strings carry no NUL, lists inside a record are separated by NUL. Mounts are made
 * in the order of their records. A record that is malformed or unknown fails the whole job.
 */
enum arrow_job_tag {
	ARROW_JOB_FLAGS = 1,     /* u32, enum arrow_job_flags */
	ARROW_JOB_ARG = 2,       /* string, repeats: argv[0], argv[1]...; one at least */
	ARROW_JOB_ENV = 3,       /* string NAME=VALUE, repeats */
	ARROW_JOB_CWD = 4,       /* string, absolute; made if missing, as Docker does */
	ARROW_JOB_USER = 5,      /* string "user[:group]", names or numbers, of the guest's files */
	ARROW_JOB_HOSTNAME = 6,  /* string */
	ARROW_JOB_HOSTS = 7,     /* string "address name", repeats: more lines of /etc/hosts */
	ARROW_JOB_RESOLV = 8,    /* string: the content of /etc/resolv.conf */
	ARROW_JOB_MOUNT = 9,     /* u32 kind, u32 flags, source NUL target NUL options; repeats */
	ARROW_JOB_RLIMIT = 10,   /* u32 resource, u32 0, u64 soft, u64 hard; repeats */
	ARROW_JOB_CAPS = 11,     /* u64: what root keeps, bit n = capability n; else Docker's 14 */
	ARROW_JOB_SYSCTL = 12,   /* string "kernel.name=value", repeats */
	ARROW_JOB_SEED = 13,     /* 32 bytes of the host's randomness; a job must have them */
	ARROW_JOB_CLOCK = 14,    /* u64 seconds, u32 nanoseconds since 1970 */
	ARROW_JOB_WINSIZE = 15,  /* u16 rows, u16 columns of the terminal */
	ARROW_JOB_SHM_SIZE = 16, /* u64 bytes of /dev/shm */
	ARROW_JOB_MACHINE_ID = 17, /* 16 bytes: /etc/machine-id, where the root has none */
	ARROW_JOB_CPU_MAX = 18, /* u32 thousandths of a CPU that the processes may use together */
	ARROW_JOB_NIC =
		19, /* repeats: a network card. u32 n of ethN, u32 MTU or 0, 6 bytes MAC, 2 zero */
	ARROW_JOB_ADDRESS =
		20, /* repeats. u32 n of ethN, u8 family (4, 6), u8 prefix, 2 zero, 16 bytes */
	ARROW_JOB_ROUTE =
		21, /* repeats; as ADDRESS, of the destination, then 16 bytes of the gateway */
	ARROW_JOB_ID = 22,             /* string; this and the next two are for RESTORE only */
	ARROW_JOB_NAME = 23,           /* string */
	ARROW_JOB_RESTORE_SIGNAL = 24, /* u32: what the program gets once it is restored */
	ARROW_JOB_PIDS_MAX = 25, /* u32: how many processes and threads there may be at once */
	ARROW_JOB_GROUP = 26,    /* string, repeats: one more group, a name or a number */
};

enum arrow_job_flags {
	ARROW_JOB_TTY = 1u << 0,          /* the program gets a terminal; stderr goes to stdout */
	ARROW_JOB_STDIN = 1u << 1,        /* stdin is carried; else it is /dev/null */
	ARROW_JOB_READ_ONLY = 1u << 2,    /* the root is read-only */
	ARROW_JOB_PRIVILEGED = 1u << 3,   /* all capabilities (CAPS has no say), no masked paths */
	ARROW_JOB_NO_NEW_PRIVS = 1u << 4, /* set PR_SET_NO_NEW_PRIVS */
	ARROW_JOB_NOTES = 1u << 5,        /* send NOTE frames with the times of the start */
	ARROW_JOB_WORKER = 1u << 6, /* EXEC only: argv is a worker of the loader, not a program */
};

enum arrow_mount_kind {
	ARROW_MOUNT_ROOT = 1,       /* source: block device (vda...) with the EROFS image; just one.
				       options: mode=,uid=,gid= of "/", else 0755 of root */
	ARROW_MOUNT_SHARE = 2,      /* source: share "tag" or "tag/name"; target: made if missing */
	ARROW_MOUNT_SHARE_FILE = 3, /* source: "tag/name"; target: one file, made if missing */
	ARROW_MOUNT_TMPFS = 4,      /* options: tmpfs mount options (size=, mode=, uid=, gid=) */
};

/* Option of ARROW_MOUNT_SHARE: if the share is empty, what the root has at the target is copied to
 * it.
 */
#define ARROW_MOUNT_FILL "fill"

/* The image is uniform (image/uniform.h): what was mounted before the job is as good. */
#define ARROW_ROOT_UNIFORM 1u

/* Little-endian access; x86 and arm64 guests and hosts all are, so these are plain copies. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire format is little-endian");

static inline uint16_t arrow_get16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t arrow_get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t arrow_get64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void arrow_put16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void arrow_put32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void arrow_put64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif
