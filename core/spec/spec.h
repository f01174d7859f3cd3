/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SPEC_SPEC_H
#define ARROW_CORE_SPEC_SPEC_H

/* What an Arrow is asked to be. core/spec/parse.h reads it from options, core/start/start.h runs
 * it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/endpoint.h"
#include "net/ports.h"
#include "util/error.h"
#include "util/paths.h"

#define ARROW_DEFAULT_MEMORY (512ull << 20) /* bytes */
#define ARROW_MEMORY_MIN (32ull << 20)      /* bytes; with less the kernels do not boot */
#define ARROW_DEFAULT_MILLICPUS 1000u
#define ARROW_DEFAULT_SHM (64ull << 20) /* bytes, as Docker */
#define ARROW_VCPUS_MAX 64u
#define ARROW_DEFAULT_STOP_TIMEOUT 10u /* seconds, as Docker */
#define ARROW_FOREVER UINT32_MAX       /* a timeout that never comes */
#define ARROW_ID_HEX 65                /* 64 digits and a NUL */
#define ARROW_ID_SHORT 12

/* A list of strings; `v` is NULL-terminated once anything was added. */
struct arrow_strings {
	char **v;
	size_t n;
};

/* A directory or file of the host, or a volume by name (volume/volume.h). */
struct arrow_volume {
	char *host;     /* path on the host; of a volume NULL until it is looked up */
	char *guest;    /* absolute path in the guest */
	char *name;     /* of a volume; NULL where `host` is given; "" until one is made up */
	char *subpath;  /* of a volume: what is mounted of it, or NULL for all */
	bool anonymous; /* the name was made up: it goes with the Arrow */
	bool read_only;
	bool no_copy; /* an empty volume is not filled with what the image has at its place */
	bool make;    /* a missing directory of the host is made */
	/* KEY=VALUE, of a volume that is made for this. */
	struct arrow_strings labels, options;
};

struct arrow_tmpfs {
	char *guest;    /* absolute path in the guest */
	char *options;  /* for mount(2), without the flags below */
	uint32_t flags; /* MS_* of mount(2) */
};

enum arrow_rate_kind {
	ARROW_RATE_READ_BPS = 0,
	ARROW_RATE_WRITE_BPS,
	ARROW_RATE_READ_IOPS,
	ARROW_RATE_WRITE_IOPS,
};

/* How much a device of the host does for an Arrow in a second. */
struct arrow_rate {
	uint32_t kind;  /* enum arrow_rate_kind */
	char *device;   /* path of a block device */
	uint64_t value; /* bytes or operations */
};

struct arrow_ulimit {
	uint32_t resource; /* RLIMIT_* */
	uint64_t soft, hard;
};

/* Whether an image is fetched before it is run. */
enum arrow_pull {
	ARROW_PULL_MISSING = 0, /* if it is not there */
	ARROW_PULL_ALWAYS,
	ARROW_PULL_NEVER,
};

/* How an Arrow is asked whether it is well. Times are nanoseconds, 0 for Docker's default. */
struct arrow_health {
	struct arrow_strings test; /* "NONE" | "CMD", args... | "CMD-SHELL", command; or empty */
	uint64_t interval, timeout, start_period, start_interval;
	uint32_t retries;
};

/* When an Arrow that ended is started again, by its keeper. */
enum arrow_restart {
	ARROW_RESTART_NO = 0,
	ARROW_RESTART_ON_FAILURE,
	ARROW_RESTART_ALWAYS,
	ARROW_RESTART_UNLESS_STOPPED,
};

/* Where what runs comes from. */
struct arrow_spec_source {
	char *program;      /* an ELF file of the host; or NULL with rootfs */
	char *rootfs;       /* a directory of the host that becomes the root, or NULL */
	char *image;        /* a container image, or NULL; see arrow_spec_resolve() */
	char *image_digest; /* of its manifest, once it is resolved: this is what runs */
	uint32_t pull;      /* enum arrow_pull */
	bool quiet;         /* a pull shows nothing */
	char *from;         /* a directory of `arrow save` to start from, or NULL */
};

/* The process that is started. */
struct arrow_spec_process {
	char *entrypoint;          /* replaces the program's path in argv; or NULL */
	struct arrow_strings args; /* after the program's name */
	struct arrow_strings env;
	char *workdir;
	char *user;
	struct arrow_strings groups; /* beside those of the user: names or numbers */
	struct arrow_ulimit *ulimits;
	size_t n_ulimits;
	struct arrow_strings sysctls;
	uint64_t caps; /* capabilities that root keeps, bit n is capability n */
	bool interactive, tty, privileged, no_new_privs;
	bool stdin_once; /* the end of a client's input is the end of the program's */
};

/* What is chosen for one network: `network` is its text in names of struct arrow_spec_net. */
struct arrow_endpoint {
	char *network, *ip, *ip6, *mac; /* or NULL, but for the network */
	struct arrow_strings aliases;
};

/* Names, addresses and ports. */
struct arrow_spec_net {
	char *hostname;               /* or NULL: the first 12 digits of the id */
	char *domainname;             /* or NULL: none */
	struct arrow_strings names;   /* values of --network; empty: the default, see net_plan() */
	struct arrow_strings aliases; /* on all networks */
	char *ip, *ip6, *mac;         /* on the first network, or NULL */
	struct arrow_endpoint *endpoints; /* of networks for which something is chosen */
	size_t n_endpoints;
	struct arrow_strings exposed; /* ports that the image names: "80/tcp" */
	struct net_ports ports;       /* published */
	bool publish_all;             /* what is exposed, too, by ports of the host that are free */
	struct arrow_strings hosts;   /* "address name" */
	struct arrow_strings dns, dns_search, dns_options;
};

/* What is mounted. */
struct arrow_spec_files {
	struct arrow_volume *volumes;
	size_t n_volumes;
	struct arrow_strings volumes_from; /* "ARROW[:ro]": all of theirs, added at creation */
	struct arrow_tmpfs *tmpfs;
	size_t n_tmpfs;
	uint64_t shm_size; /* bytes */
	bool read_only;    /* the root */
};

/* Memory and CPUs of the guest, and limits by control groups of the host (core/limits/limits.h). */
struct arrow_spec_limits {
	uint64_t memory;    /* bytes */
	bool memory_given;  /* by an option: an image's is not asked */
	uint32_t millicpus; /* thousandths of a CPU; 1000 is one vCPU */
	bool cpus_given;    /* by --cpus: the VM's process is held to that, too */

	/* By control groups; 0 for none. */
	bool memory_swap_given, oom_kill_disable;
	int64_t memory_swap; /* bytes of memory and swap together; -1 for no limit */
	uint32_t cpu_shares, blkio_weight;
	struct arrow_rate *rates;
	size_t n_rates;
	/* And others. */
	char *cpuset_cpus;     /* CPUs of the host that the VM may use, "0-2,5"; or NULL */
	uint32_t pids_max;     /* processes in the guest */
	int32_t oom_score_adj; /* of the VM's process */
};

/* How it ends, and what comes after that. */
struct arrow_spec_life {
	bool auto_remove;      /* --rm */
	uint32_t timeout;      /* seconds, 0 for none */
	uint32_t stop_signal;  /* 0 for SIGTERM */
	uint32_t stop_timeout; /* seconds from there to SIGKILL, or ARROW_FOREVER */
	uint32_t restart;      /* enum arrow_restart */
	uint32_t restart_max;  /* of ON_FAILURE; 0 for any number */
	bool restart_given;    /* by an option: an image's is not asked */
	struct arrow_health health;
};

struct arrow_spec_log {
	char *driver;              /* json-file, journald, none; or NULL: json-file */
	struct arrow_strings opts; /* key=value */
};

/* The VM around it. */
struct arrow_spec_vm {
	char *engine;            /* or NULL: the best that works */
	char *kernel;            /* profile or id, or NULL: chosen by what the program needs */
	bool kernel_of_image;    /* the image names it, as a default */
	bool cold;               /* boot the kernel instead of cloning a template */
	uint32_t restore_signal; /* that tells the program that it was restored; 0 for none */
};

/*
 * What to run. A field that outlives its command has a line in core/spec/spec_json.c. Everything is
 * owned by the spec; arrow_spec_init() gives the defaults.
 */
struct arrow_spec {
	char *name;                  /* or NULL: one is made up */
	struct arrow_strings labels; /* key=value */
	bool verbose;                /* tell on stderr what happens when */
	struct arrow_spec_source source;
	struct arrow_spec_process process;
	struct arrow_spec_net net;
	struct arrow_spec_files files;
	struct arrow_spec_limits limits;
	struct arrow_spec_life life;
	struct arrow_spec_log log;
	struct arrow_spec_vm vm;
};

/* Copies the limits that change while an Arrow runs (all but memory); what `to` had is freed. */
void arrow_spec_take_limits(struct arrow_spec *to, const struct arrow_spec *from);

/* Virtual CPUs that its CPUs take: a part of one takes a whole one. */
unsigned int arrow_spec_vcpus(const struct arrow_spec *spec);

/* What is chosen for network `index` of its names. Borrowed from the spec. */
struct net_endpoint arrow_spec_endpoint(const struct arrow_spec *spec, size_t index);

/* What is chosen for a network by its name; or NULL. */
const struct arrow_endpoint *arrow_spec_find_endpoint(
	const struct arrow_spec *spec, const char *network);

/* Adds a copy of what is chosen for a network, if anything is. Returns 0 or -ENOMEM. */
int arrow_spec_add_endpoint(struct arrow_spec *spec, const char *network,
	const struct net_endpoint *chosen) ARROW_MUST_CHECK;
void arrow_spec_remove_endpoint(struct arrow_spec *spec, const char *network);
void arrow_spec_release_endpoints(struct arrow_spec *spec);

/* Whether a volume or a tmpfs is mounted at this place of the guest. */
bool arrow_spec_has_mount(const struct arrow_spec *spec, const char *guest);

void arrow_spec_init(struct arrow_spec *spec);
void arrow_spec_release(struct arrow_spec *spec);

/* Adds a copy. Returns 0 or -ENOMEM. */
int arrow_strings_add(struct arrow_strings *list, const char *text) ARROW_MUST_CHECK;
/* The same for all of a list that ends with NULL, or is NULL. */
int arrow_strings_add_all(struct arrow_strings *list, char *const *v) ARROW_MUST_CHECK;
void arrow_strings_release(struct arrow_strings *list);

#endif
