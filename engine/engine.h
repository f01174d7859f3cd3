/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_ENGINE_H
#define ARROW_ENGINE_ENGINE_H

/*
 * The border between Arrow and what runs a VM. An engine is a const table of functions; a VM is
 * an instance of one. Nothing outside engine/ asks which engine it has, only what it can do: its
 * mode says that (struct arrow_engine_mode). Which engines there are is in engine/choice/.
 *
 * Life of a VM, all in the keeper's single thread:
 *
 *   start()  -> the VM runs. The caller watches vm->fds (see poll_fds) and calls handle() when one
 *               is ready, until handle() reports ARROW_VM_ENDED.
 *   check()  -> asks the VM for a sign of life; handle() notes the answer. The caller decides on
 *               the deadline by vm->asked and vm->answered.
 *   save()   -> writes the device state of a template; the VM cannot go on: stop() it.
 *   pause(), resume() -> stop its vCPUs and let them go on; vm->paused says when they have.
 *   write()  -> writes a paused VM, memory and devices; vm->written or vm->problem says the result.
 *   stop()   -> ends the VM at once. Nothing of it is left when stop() returns.
 *   free()   -> releases what the host holds for it; implies stop().
 */

#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "util/error.h"

/*
 * What is set for an engine from outside, by whoever starts Arrows: engines do not read the
 * environment. Borrowed wherever it is passed. Begin with arrow_engine_defaults.
 */
struct arrow_engine_settings {
	/*
	 * The QEMU to run: a path, or a name that is searched in PATH. NULL or "": Arrow's own
	 * where one is installed, else the one in PATH. From ARROW_QEMU.
	 */
	const char *qemu;
	const char *data_dir;       /* that may hold Arrow's own; or NULL: the system's only */
	bool zygote;                /* fork clones from a running template (ARROW_ENGINE_FORKS) */
	unsigned int zygote_idle_s; /* which ends after so many seconds without a request */
	unsigned int zygote_forks;  /* or after so many forks, for the next one to be another */
	/*
	 * The first user id of jails (engine/jail.h). One that could be the id of a person, or that
	 * leaves too few ids behind it, is replaced by the default.
	 */
	unsigned long jail_uid_base;
};

/* Arrow's own QEMU, zygotes for 180 s or 1000 forks, user ids from 0x70000000. */
extern const struct arrow_engine_settings arrow_engine_defaults;

/* What an engine can do in one of its modes. */
enum arrow_engine_ability {
	ARROW_ENGINE_TEMPLATES = 1u << 0, /* save(), ARROW_VM_TEMPLATE, ARROW_VM_CLONE */
	ARROW_ENGINE_SNAPSHOTS = 1u << 1, /* write(), ARROW_VM_CONVERT, ARROW_VM_RESTORED */
	ARROW_ENGINE_USER_NET = 1u << 2,  /* ARROW_NIC_USER */
	/* Clones may be forked from a running one, for which it uses cache_dir and idle. */
	ARROW_ENGINE_FORKS = 1u << 3,
	/* It translates the guest's code, and keeps the result in cache_dir and code_fd. */
	ARROW_ENGINE_KEEPS_CODE = 1u << 4,
};

/* How an engine executes the guest's instructions. */
struct arrow_engine_mode {
	const char *name;  /* for people and for state on disk: "kvm", "tcg" */
	bool needs_kvm;    /* works only where arrow_kvm_probe() says so */
	unsigned int can;  /* of enum arrow_engine_ability */
	uint64_t overhead; /* bytes that its process takes beside the guest's memory, at most */
	unsigned int shares_max; /* volumes that a VM can have, ARROW_JAIL_MOUNTS at most */
};

/*
 * A read-only disk: an image file, already open. It becomes vda, vdb... in order. In a template it
 * is an empty one, so large that every image fits; a clone's guest keeps believing in that size.
 */
struct arrow_disk {
	int fd; /* borrowed; -1 in a template */
};

/*
 * A host directory, or a single file, already open. All of them together are one directory that the
 * guest mounts under the tag ARROW_SHARES_TAG: a directory is "<index>" in it, a file "f<index>".
 */
struct arrow_share {
	int fd; /* borrowed; O_PATH */
	bool read_only;
	bool file;
};

/* What is behind a network card. The kind is a part of a template: clones have a card of the same.
 */
enum arrow_nic_kind {
	ARROW_NIC_TAP = 1, /* a tap device with IFF_VNET_HDR, as net_tap_open() makes it */
	ARROW_NIC_STREAM,  /* a stream socket with frames behind 32 bit lengths (passt) */
	ARROW_NIC_USER,    /* the engine's own user-mode network, without a descriptor */
};

/* A port of the host that leads into the guest; of ARROW_NIC_USER only. */
struct arrow_forward {
	bool udp;
	char host[46]; /* address of the host; "" for any */
	uint16_t host_port, guest_port;
};

/* A network card: eth0, eth1... in order. Its MAC is what the job says, see docs/network.md. */
struct arrow_nic {
	enum arrow_nic_kind kind;
	int fd; /* borrowed; -1 for ARROW_NIC_USER */
	const struct arrow_forward *forwards;
	unsigned int n_forwards;
	bool spare; /* the last one; hidden in the guest until it joins a network */
};

/* What holds the VM's process. */
struct arrow_vm_limits {
	const int *procs; /* files of groups, to enter by "0"; borrowed */
	unsigned int n_procs;
	const cpu_set_t *cpus; /* that it may run on, or NULL */
	int oom_score_adj;
};

/* How a VM comes to life. */
enum arrow_vm_origin {
	ARROW_VM_COLD = 0, /* from power-on */
	ARROW_VM_TEMPLATE, /* from power-on, to be saved: its memory is ram_fd, shared */
	ARROW_VM_CLONE,    /* from a template: ram_fd copied on write, state_fd for the devices */
	/*
	 * From what write() wrote, in stream_fd: its memory goes to ram_fd, shared. It never runs.
	 * Once it is loaded, which vm->loaded tells, save() writes its devices to state_fd.
	 */
	ARROW_VM_CONVERT,
	/* From those two files: as a clone, of a VM that ran and goes on where it was paused. */
	ARROW_VM_RESTORED,
};

/* Makes devices with nothing behind them, for a VM that stands in for others. */
struct arrow_idle_devices {
	/*
	 * A card of this kind: a tap on no bridge, a socket that nobody reads. Owned by the caller;
	 * -1 for a kind without a descriptor; a negative errno below that.
	 */
	int (*nic)(enum arrow_nic_kind kind);
	/*
	 * A disk of ARROW_TEMPLATE_DISK bytes, with an image that a rehearsed job runs from.
	 * Sealed, so one may serve several VMs. Owned by the caller; or a negative errno.
	 */
	int (*disk)(void);
};

/* What a VM is made of. Everything is borrowed for the time of start(). */
struct arrow_vm_config {
	const char *name;   /* for process titles */
	int kernel_fd;      /* vmlinux with a PVH entry; -1 for ARROW_VM_RESTORED and _CONVERT */
	int initrd_fd;      /* initramfs that holds the loader; -1 likewise */
	const char *append; /* kernel command line that the profile and core want */
	uint64_t memory;    /* bytes, a multiple of 1 MiB */
	unsigned int vcpus; /* 1 or more */
	const struct arrow_disk *disks;
	unsigned int n_disks;
	/*
	 * With share_channel() a stream socket: the guest's end of the channel to the server of its
	 * volumes, in messages of FUSE. There may be nobody at the other end. Else -1.
	 */
	int share_fd;
	const struct arrow_share *shares; /* without share_channel(): what the engine serves */
	unsigned int n_shares;
	const struct arrow_nic *nics;
	unsigned int n_nics;
	const char *jail_root; /* root of its process's jail, with the engine's files in it */
	int channel_fd;        /* a stream socket: the guest's end of the control channel */
	int console_fd;        /* a stream socket: kernel messages are written there */
	enum arrow_vm_origin origin;
	int ram_fd;    /* the template's memory, a file of `memory` bytes; unused when cold */
	int state_fd;  /* the state of its devices; likewise */
	int code_fd;   /* ARROW_VM_RESTORED: the translated code that write() left, or -1 */
	int stream_fd; /* ARROW_VM_CONVERT: what it is loaded from */
	/*
	 * Of a clone: a directory that lives as long as its template, in which the engine may keep
	 * what makes further clones faster; NULL for none.
	 */
	const char *cache_dir;
	const struct arrow_idle_devices *idle; /* goes with cache_dir */
	int userns_fd; /* user namespace in which the shares are served, or -1 */
	const struct arrow_engine_mode *mode; /* one of the engine's */
	const struct arrow_engine_settings *settings;
	uint32_t tsc_khz; /* rate of the guest's TSC; 0 where it is not constant */
	const struct arrow_vm_limits *limits; /* or NULL */
};

#define ARROW_VM_FDS 4

enum arrow_vm_event {
	ARROW_VM_NOTHING = 0, /* nothing that the caller needs to know */
	ARROW_VM_ENDED = 1,   /* the VM is gone; vm->ended says why */
};

struct arrow_engine;

/* The part of a VM that all engines share; an engine's own struct begins with it. */
struct arrow_vm {
	const struct arrow_engine *engine;
	int fds[ARROW_VM_FDS]; /* to be polled for input, -1 where unused */
	int pid;               /* process that holds the guest, for state files and messages */
	uint64_t asked;        /* check() calls so far */
	uint64_t answered;     /* and how many of them were answered */
	bool paused;           /* its vCPUs are stopped, by pause() */
	bool loaded;           /* ARROW_VM_CONVERT: the whole stream is loaded */
	bool written;          /* the last write() is complete */
	const char *problem;   /* what the engine refused since the last request, or NULL */
	char *ended;           /* why it ended, one line; NULL for a guest that switched off */
};

struct arrow_engine {
	const char *name;
	const char *program; /* that it runs; NULL for none */
	const char *package; /* of Debian, that has it; NULL for none */
	const struct arrow_engine_mode
		*modes; /* in order of preference; ends with one without a name */

	/*
	 * Where that program is, owned by the caller; NULL where there is none. NULL for an engine
	 * without a program.
	 *   own: whether it is one that was built for Arrow
	 */
	char *(*find)(const struct arrow_engine_settings *settings, bool *own);

	/*
	 * Adds to `key` whatever a template of this engine depends on beside its configuration: the
	 * program and its version, the CPU that the guest sees. Cheap: no process is started.
	 */
	int (*identify)(FILE *key, const struct arrow_engine_mode *mode,
		const struct arrow_engine_settings *settings, struct arrow_error *error);

	/*
	 * The files that its program needs in the root of its jail, by their absolute paths, where
	 * they are found there too: the program first; others that do not exist are left out.
	 * The program's libraries come along by themselves.
	 *   files: NULL-terminated; owned by the caller
	 * Errors: -ENOENT with what to install.
	 */
	int (*files)(const struct arrow_engine_settings *settings, char ***files,
		struct arrow_error *error);

	/*
	 * How many devices a VM can have: disks, network cards, and without share_channel() one for
	 * all shares, if there are any. NULL for an engine without such a limit.
	 */
	unsigned int (*devices_max)(const struct arrow_engine_settings *settings);

	/*
	 * Whether volumes are served by a process of the caller's, to which each VM has a channel
	 * (share_fd), so that the VM's process needs no file of the host. Else the engine serves
	 * them itself. NULL: it does.
	 */
	bool (*share_channel)(const struct arrow_engine_settings *settings);

	/*
	 * Says whether this engine can work here. version gets a line for `arrow info`
	 * (owned by the caller), also used as a part of cache keys.
	 * Errors: -ENOENT with what to install.
	 */
	int (*probe)(const struct arrow_engine_settings *settings, char **version,
		struct arrow_error *error);

	/* Makes and starts a VM. */
	int (*start)(struct arrow_vm **vm, const struct arrow_vm_config *config,
		struct arrow_error *error);

	/*
	 * Saves a VM that was started as a template: its memory is in ram_fd, the rest in state_fd.
	 * Blocks until it is done, or for deadline_ms.
	 */
	int (*save)(struct arrow_vm *vm, unsigned int deadline_ms, struct arrow_error *error);

	/* Stop the vCPUs, and let them go on. They only ask: handle() notes the result. */
	void (*pause)(struct arrow_vm *vm);
	void (*resume)(struct arrow_vm *vm);

	/*
	 * Asks a running guest to give memory back, or to take it again, so that it has `bytes` of
	 * what it was started with. The guest gives what it can spare, and more later.
	 * Errors: -ENOTSUP for a VM without a balloon.
	 */
	int (*set_memory)(struct arrow_vm *vm, uint64_t bytes);

	/*
	 * Begins to write a paused VM, memory and devices, to fd, which is borrowed for the call.
	 * The VM stays paused, also afterwards. handle() notes the end.
	 *   code_fd: an empty file for what the engine has translated of the guest's code, so that
	 * a restored VM begins with it, or -1. It may stay empty. Borrowed likewise.
	 */
	int (*write)(struct arrow_vm *vm, int fd, int code_fd, struct arrow_error *error);

	/* Takes in what came on vm->fds[index]. Never blocks. */
	enum arrow_vm_event (*handle)(struct arrow_vm *vm, unsigned int index);

	/* Asks for a sign of life. Never blocks. */
	void (*check)(struct arrow_vm *vm);

	/* Ends the VM at once and waits until its process is gone. */
	void (*stop)(struct arrow_vm *vm);

	void (*free)(struct arrow_vm *vm);
};

/* What a template's guest believes each of its disks to be, in bytes. */
#define ARROW_TEMPLATE_DISK (1ll << 40)

#endif
