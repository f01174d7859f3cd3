// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/values.h"
#include "cli/output/print.h"
#include "core/spec/spec.h"
#include "core/client/client.h"
#include "net/net.h"
#include "util/cleanup.h"

enum {
	OPT_ADD_HOST = 256,
	OPT_CAP_ADD,
	OPT_CAP_DROP,
	OPT_CIDFILE,
	OPT_COLD,
	OPT_BLKIO_WEIGHT,
	OPT_CPUS,
	OPT_CPUSET,
	OPT_DEVICE_READ_BPS, /* these four in the order of enum arrow_rate_kind */
	OPT_DEVICE_WRITE_BPS,
	OPT_DEVICE_READ_IOPS,
	OPT_DEVICE_WRITE_IOPS,
	OPT_MEMORY_SWAP,
	OPT_OOM_KILL_DISABLE,
	OPT_OOM_SCORE,
	OPT_PIDS,
	OPT_DETACH_KEYS,
	OPT_DNS,
	OPT_DNS_OPTION,
	OPT_DNS_SEARCH,
	OPT_ENGINE,
	OPT_ENTRYPOINT,
	OPT_ENV_FILE,
	OPT_FROM,
	OPT_HEALTH_CMD,
	OPT_HEALTH_INTERVAL,
	OPT_HEALTH_RETRIES,
	OPT_HEALTH_START_INTERVAL,
	OPT_HEALTH_START_PERIOD,
	OPT_HEALTH_TIMEOUT,
	OPT_HOSTNAME,
	OPT_INIT,
	OPT_KERNEL,
	OPT_EXPOSE,
	OPT_IP,
	OPT_IP6,
	OPT_MAC,
	OPT_LOG_DRIVER,
	OPT_LOG_OPT,
	OPT_NAME,
	OPT_NETWORK,
	OPT_NETWORK_ALIAS,
	OPT_NO_HEALTHCHECK,
	OPT_PLATFORM,
	OPT_PRIVILEGED,
	OPT_PULL,
	OPT_READ_ONLY,
	OPT_RESTART,
	OPT_RM,
	OPT_RESTORE_SIGNAL,
	OPT_ROOTFS,
	OPT_SECURITY_OPT,
	OPT_SHM_SIZE,
	OPT_STOP_SIGNAL,
	OPT_STOP_TIMEOUT,
	OPT_SYSCTL,
	OPT_TIMEOUT,
	OPT_TMPFS,
	OPT_ULIMIT,
	OPT_VERBOSE,
};

/* clang-format off */
static const struct argp_option options[] = {
	{0, 0, 0, 0, "Program:", 1},
	{"platform", OPT_PLATFORM, "OS/ARCH", 0, "Platform of the image; only that of this host works", 0},
	{"pull", OPT_PULL, "always|missing|never", 0, "When to pull an image (missing)", 0},
	{"from", OPT_FROM, "DIR", 0, "Restore an Arrow from a directory written by 'arrow save'", 0},
	{"rootfs", OPT_ROOTFS, "DIR", 0, "Run a command in this root directory, which is not changed", 0},
	{"entrypoint", OPT_ENTRYPOINT, "PROGRAM", 0, "Program to start instead of the image's, a path in the root", 0},
	{"env", 'e', "NAME[=VALUE]", 0, "Set an environment variable; NAME alone passes on yours", 0},
	{"env-file", OPT_ENV_FILE, "FILE", 0, "Read environment variables from a file, one per line", 0},
	{"workdir", 'w', "DIR", 0, "Working directory of the program", 0},
	{"user", 'u', "USER[:GROUP]", 0, "User name or id", 0},

	{0, 0, 0, 0, "Input and output:", 2},
	{"interactive", 'i', 0, 0, "Attach stdin", 0},
	{"tty", 't', 0, 0, "Allocate a terminal", 0},
	{"verbose", OPT_VERBOSE, 0, 0, "Log each step with its time on stderr", 0},

	{0, 0, 0, 0, "Life:", 3},
	{"detach", 'd', 0, 0, "Run in the background, and print the id", 0},
	{"detach-keys", OPT_DETACH_KEYS, "KEYS", 0, "Key sequence that detaches (ctrl-p,ctrl-q)", 0},
	{"rm", OPT_RM, 0, 0, "Remove the Arrow when it ends", 0},
	{"cidfile", OPT_CIDFILE, "FILE", 0, "Write the id to a new file", 0},
	{"restart", OPT_RESTART, "POLICY", 0, "Restart policy: no, on-failure[:N], always, unless-stopped", 0},
	{"stop-signal", OPT_STOP_SIGNAL, "SIGNAL", 0, "Signal to stop the program (SIGTERM)", 0},
	{"stop-timeout", OPT_STOP_TIMEOUT, "SECONDS", 0, "Seconds to wait before killing it (10); -1 for ever", 0},
	{"restore-signal", OPT_RESTORE_SIGNAL, "SIGNAL", 0, "Signal to send to a restored program (none)", 0},
	{"log-driver", OPT_LOG_DRIVER, "DRIVER", 0, "Log driver: json-file, journald or none", 0},
	{"log-opt", OPT_LOG_OPT, "NAME=VALUE", 0, "Log options: max-size, max-file of json-file", 0},

	{"health-cmd", OPT_HEALTH_CMD, "COMMAND", 0, "Shell command that checks health", 0},
	{"health-interval", OPT_HEALTH_INTERVAL, "TIME", 0, "Time between checks (30s)", 0},
	{"health-timeout", OPT_HEALTH_TIMEOUT, "TIME", 0, "Time limit of a check (30s)", 0},
	{"health-retries", OPT_HEALTH_RETRIES, "N", 0, "Consecutive failures until unhealthy (3)", 0},
	{"health-start-period", OPT_HEALTH_START_PERIOD, "TIME", 0, "Initial time in which failures do not count (0s)", 0},
	{"health-start-interval", OPT_HEALTH_START_INTERVAL, "TIME", 0, "Time between checks during the start period (5s)", 0},
	{"no-healthcheck", OPT_NO_HEALTHCHECK, 0, 0, "Disable health checks, including the image's", 0},

	{0, 0, 0, 0, "Files:", 4},
	{"volume", 'v', "HOST:GUEST[:ro]", 0, "Mount a directory or file of the host", 0},
	{"tmpfs", OPT_TMPFS, "DIR[:OPTIONS]", 0, "Mount an empty tmpfs", 0},
	{"read-only", OPT_READ_ONLY, 0, 0, "Mount the root read-only", 0},
	{"shm-size", OPT_SHM_SIZE, "SIZE", 0, "Size of /dev/shm (64m)", 0},

	{0, 0, 0, 0, "Limits:", 5},
	{"memory", 'm', "SIZE", 0, "Memory of the VM (512m)", 0},
	{"cpus", OPT_CPUS, "N", 0, "Number of CPUs (1)", 0},
	{"memory-swap", OPT_MEMORY_SWAP, "SIZE", 0, "Limit of memory plus swap on the host; -1 for unlimited swap", 0},
	{"cpu-shares", 'c', "N", 0, "Relative CPU weight on the host (1024)", 0},
	{"cpuset-cpus", OPT_CPUSET, "LIST", 0, "CPUs of the host to run on, as in 0-2,5", 0},
	{"pids-limit", OPT_PIDS, "N", 0, "Maximum number of processes and threads; -1 for unlimited", 0},
	{"device-read-bps", OPT_DEVICE_READ_BPS, "DEVICE:RATE", 0, "Limit reads from a device of the host, in bytes per second", 0},
	{"device-write-bps", OPT_DEVICE_WRITE_BPS, "DEVICE:RATE", 0, "Limit writes to a device of the host, in bytes per second", 0},
	{"device-read-iops", OPT_DEVICE_READ_IOPS, "DEVICE:N", 0, "Limit reads from a device of the host, per second", 0},
	{"device-write-iops", OPT_DEVICE_WRITE_IOPS, "DEVICE:N", 0, "Limit writes to a device of the host, per second", 0},
	{"blkio-weight", OPT_BLKIO_WEIGHT, "N", 0, "Relative I/O weight on the host, 10 to 1000", 0},
	{"oom-kill-disable", OPT_OOM_KILL_DISABLE, 0, 0, "Do not kill the VM when its control group is out of memory (cgroup v1)", 0},
	{"oom-score-adj", OPT_OOM_SCORE, "N", 0, "OOM score adjustment of the VM on the host", 0},
	{"timeout", OPT_TIMEOUT, "SECONDS", 0, "Kill the program after this time", 0},
	{"ulimit", OPT_ULIMIT, "NAME=SOFT[:HARD]", 0, "Set a resource limit", 0},

	{0, 0, 0, 0, "Rights in the guest:", 6},
	{"cap-add", OPT_CAP_ADD, "CAP", 0, "Add a capability, or ALL", 0},
	{"cap-drop", OPT_CAP_DROP, "CAP", 0, "Drop a capability, or ALL", 0},
	{"privileged", OPT_PRIVILEGED, 0, 0, "All capabilities, no masked paths, in the guest only", 0},
	{"security-opt", OPT_SECURITY_OPT, "no-new-privileges", 0, "setuid programs gain no privileges", 0},
	{"sysctl", OPT_SYSCTL, "NAME=VALUE", 0, "Set a parameter of the guest's kernel", 0},

	{0, 0, 0, 0, "Network:", 7},
	{"network", OPT_NETWORK, "NETWORK", 0, "none, the name of a network, user, bridge:DEVICE or ns:PATH; can be given several times", 0},
	{"net", OPT_NETWORK, "NETWORK", OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
	{"publish", 'p', "[[IP:]HOST:]GUEST[/udp]", 0, "Publish a port, or a range of ports, on the host", 0},
	{"publish-all", 'P', 0, 0, "Publish all exposed ports on free ports of the host", 0},
	{"expose", OPT_EXPOSE, "PORT[/udp]", 0, "Expose a port, for -P", 0},
	{"network-alias", OPT_NETWORK_ALIAS, "NAME", 0, "Additional name on the network", 0},
	{"ip", OPT_IP, "ADDRESS", 0, "IPv4 address on the first network", 0},
	{"ip6", OPT_IP6, "ADDRESS", 0, "IPv6 address on the first network", 0},
	{"mac-address", OPT_MAC, "MAC", 0, "MAC address on the first network", 0},

	{0, 0, 0, 0, "Names:", 8},
	{"name", OPT_NAME, "NAME", 0, "Name of the Arrow", 0},
	{"hostname", 'h', "NAME", 0, "Host name in the guest", 0},
	{"add-host", OPT_ADD_HOST, "NAME:ADDRESS", 0, "Add a line to /etc/hosts", 0},
	{"dns", OPT_DNS, "ADDRESS", 0, "Name server in /etc/resolv.conf", 0},
	{"dns-search", OPT_DNS_SEARCH, "DOMAIN", 0, "Search domain in /etc/resolv.conf", 0},
	{"dns-option", OPT_DNS_OPTION, "OPTION", 0, "Option in /etc/resolv.conf", 0},
	{"label", 'l', "KEY=VALUE", 0, "Set a label", 0},

	{0, 0, 0, 0, "Machine:", 9},
	{"engine", OPT_ENGINE, "ENGINE", 0, "Engine that runs the VM: qemu, qemu:kvm, qemu:tcg", 0},
	{"kernel", OPT_KERNEL, "KERNEL", 0, "Kernel profile (micro, general) or id", 0},
	{"cold", OPT_COLD, 0, 0, "Boot the kernel instead of cloning a template", 0},

	{0, 0, 0, 0, "Accepted for compatibility with Docker; always on:", 10},
	{"init", OPT_INIT, 0, 0, "Run an init that reaps processes and forwards signals", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

struct input {
	struct arrow_spec spec;
	struct arrow_strings cap_add, cap_drop;
	bool detach;
	const char *cidfile, *detach_keys; /* borrowed of argv */
	struct arrow_error error;
};

/* The options for limits of the host. Returns 1 for one that is not here. */
static int parse_limit(struct input *in, int key, const char *arg)
{
	struct arrow_spec *spec = &in->spec;
	struct arrow_error *e = &in->error;

	switch (key) {
	case OPT_CPUS:
		spec->limits.cpus_given = true;
		return arrow_parse_cpus(arg, &spec->limits.millicpus, e);
	case OPT_MEMORY_SWAP:
		return arrow_parse_memory_swap(spec, arg, e);
	case 'c':
		return arrow_parse_cpu_shares(spec, arg, e);
	case OPT_CPUSET:
		return arrow_parse_cpuset(spec, arg, e);
	case OPT_PIDS:
		return arrow_parse_pids(spec, arg, e);
	case OPT_DEVICE_READ_BPS:
	case OPT_DEVICE_WRITE_BPS:
	case OPT_DEVICE_READ_IOPS:
	case OPT_DEVICE_WRITE_IOPS:
		return arrow_parse_rate(
			spec, (enum arrow_rate_kind)(key - OPT_DEVICE_READ_BPS), arg, e);
	case OPT_BLKIO_WEIGHT:
		return arrow_parse_blkio_weight(spec, arg, e);
	case OPT_OOM_SCORE:
		return arrow_parse_oom_score(spec, arg, e);
	case OPT_OOM_KILL_DISABLE:
		spec->limits.oom_kill_disable = true;
		return 0;
	default:
		return 1;
	}
}

/* NULL: no check at all, whatever the image says. */
static int set_health(struct arrow_spec *spec, const char *command, struct arrow_error *error)
{
	int r;

	if (spec->life.health.test.n > 0)
		return arrow_fail(error, EINVAL,
			"--health-cmd can be given once, and not with --no-healthcheck");
	r = cli_add_string(&spec->life.health.test, command ? "CMD-SHELL" : "NONE", error);
	return r == 0 && command ? cli_add_string(&spec->life.health.test, command, error) : r;
}

/* The options that take text apart: one line each. Returns 1 for one that is not here. */
static int parse_value(struct input *in, int key, const char *arg)
{
	struct arrow_spec *spec = &in->spec;
	struct arrow_error *e = &in->error;
	int r;

	switch (key) {
	case 'e':
		return arrow_parse_env(spec, arg, e);
	case OPT_ENV_FILE:
		return arrow_parse_env_file(spec, arg, e);
	case 'v':
		return arrow_parse_volume(spec, arg, e);
	case OPT_TMPFS:
		return arrow_parse_tmpfs(spec, arg, e);
	case 'm':
		spec->limits.memory_given = true;
		return arrow_parse_size(arg, &spec->limits.memory, e);
	case OPT_SHM_SIZE:
		return arrow_parse_size(arg, &spec->files.shm_size, e);
	case OPT_TIMEOUT:
		return arrow_parse_timeout(arg, &spec->life.timeout, e);
	case OPT_ULIMIT:
		return arrow_parse_ulimit(spec, arg, e);
	case OPT_SYSCTL:
		return arrow_parse_sysctl(spec, arg, e);
	case OPT_ADD_HOST:
		return arrow_parse_host(spec, arg, e);
	case 'l':
		return arrow_parse_label(spec, arg, e);
	case 'p':
		return net_ports_parse(&spec->net.ports, arg, e);
	case OPT_EXPOSE: {
		struct net_ports ports = {0};

		r = net_ports_expose(&ports, arg, e);
		net_ports_release(&ports);
		return r < 0 ? r : cli_add_string(&spec->net.exposed, arg, e);
	}
	case OPT_NETWORK:
		return cli_add_string(&spec->net.names, arg, e);
	case OPT_NETWORK_ALIAS:
		return cli_add_string(&spec->net.aliases, arg, e);
	case OPT_IP:
		return cli_set_string(&spec->net.ip, arg, e);
	case OPT_IP6:
		return cli_set_string(&spec->net.ip6, arg, e);
	case OPT_MAC:
		return cli_set_string(&spec->net.mac, arg, e);
	case OPT_NAME:
		r = arrow_parse_name(arg, e);
		return r < 0 ? r : cli_set_string(&spec->name, arg, e);
	case 'h':
		r = arrow_parse_hostname(arg, e);
		return r < 0 ? r : cli_set_string(&spec->net.hostname, arg, e);
	case OPT_DNS:
		return arrow_parse_dns(spec, arg, e);
	case OPT_SECURITY_OPT:
		if (strcmp(arg, "no-new-privileges") != 0 &&
			strcmp(arg, "no-new-privileges=true") != 0 &&
			strcmp(arg, "no-new-privileges:true") != 0)
			return arrow_fail(e, EINVAL,
				"no such security option: '%s'; use no-new-privileges", arg);
		spec->process.no_new_privs = true;
		return 0;
	case 'w':
		if (arg[0] != '/')
			return arrow_fail(e, EINVAL,
				"the working directory '%s' is not an absolute path", arg);
		return cli_set_string(&spec->process.workdir, arg, e);
	case OPT_ENTRYPOINT:
		return cli_set_string(&spec->process.entrypoint, arg, e);
	case 'u':
		return cli_set_string(&spec->process.user, arg, e);
	case OPT_PLATFORM:
		return arrow_parse_platform(arg, e);
	case OPT_PULL:
		return arrow_parse_pull(arg, &spec->source.pull, e);
	case OPT_ROOTFS:
		return cli_set_string(&spec->source.rootfs, arg, e);
	case OPT_FROM:
		return cli_set_string(&spec->source.from, arg, e);
	case OPT_RESTORE_SIGNAL:
		return arrow_parse_signal(arg, &spec->vm.restore_signal, e);
	case OPT_ENGINE:
		return cli_set_string(&spec->vm.engine, arg, e);
	case OPT_KERNEL:
		return cli_set_string(&spec->vm.kernel, arg, e);
	case OPT_DNS_SEARCH:
		return cli_add_string(&spec->net.dns_search, arg, e);
	case OPT_DNS_OPTION:
		return cli_add_string(&spec->net.dns_options, arg, e);
	case OPT_HEALTH_CMD:
		return set_health(spec, arg, e);
	case OPT_HEALTH_INTERVAL:
		return arrow_parse_duration(arg, &spec->life.health.interval, e);
	case OPT_HEALTH_TIMEOUT:
		return arrow_parse_duration(arg, &spec->life.health.timeout, e);
	case OPT_HEALTH_START_PERIOD:
		return arrow_parse_duration(arg, &spec->life.health.start_period, e);
	case OPT_HEALTH_START_INTERVAL:
		return arrow_parse_duration(arg, &spec->life.health.start_interval, e);
	case OPT_HEALTH_RETRIES:
		return arrow_parse_timeout(arg, &spec->life.health.retries, e);
	case OPT_RESTART:
		return arrow_parse_restart(spec, arg, e);
	case OPT_STOP_SIGNAL:
		return arrow_parse_signal(arg, &spec->life.stop_signal, e);
	case OPT_STOP_TIMEOUT:
		return arrow_parse_stop_timeout(arg, &spec->life.stop_timeout, e);
	case OPT_LOG_DRIVER:
		return cli_set_string(&spec->log.driver, arg, e);
	case OPT_LOG_OPT:
		return cli_add_string(&spec->log.opts, arg, e);
	case OPT_CAP_ADD:
		return cli_add_string(&in->cap_add, arg, e);
	case OPT_CAP_DROP:
		return cli_add_string(&in->cap_drop, arg, e);
	default:
		return parse_limit(in, key, arg);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;
	struct arrow_spec *spec = &in->spec;
	int r;

	/* One line, from the first thing that is wrong. */
	if (in->error.text)
		return 0;

	switch (key) {
	case 'i':
		spec->process.interactive = true;
		return 0;
	case 't':
		spec->process.tty = true;
		return 0;
	case 'P':
		spec->net.publish_all = true;
		return 0;
	case OPT_READ_ONLY:
		spec->files.read_only = true;
		return 0;
	case OPT_PRIVILEGED:
		spec->process.privileged = true;
		return 0;
	case OPT_VERBOSE:
		spec->verbose = true;
		return 0;
	case OPT_COLD:
		spec->vm.cold = true;
		return 0;
	case 'd':
		in->detach = true;
		return 0;
	case OPT_DETACH_KEYS:
		in->detach_keys = arg;
		return 0;
	case OPT_CIDFILE:
		in->cidfile = arg;
		return 0;
	case OPT_NO_HEALTHCHECK:
		(void)!set_health(spec, NULL, &in->error);
		return 0;
	case OPT_RM:
		spec->life.auto_remove = true;
		return 0;
	case OPT_INIT: /* every Arrow has one */
		return 0;
	case ARGP_KEY_ARG:
		if (!spec->source.rootfs)
			r = cli_set_string(&spec->source.program, arg, &in->error);
		else
			r = cli_add_string(&spec->process.args, arg, &in->error);
		/* All that follows is the program's, with or without a dash. */
		while (r == 0 && state->next < state->argc)
			r = cli_add_string(
				&spec->process.args, state->argv[state->next++], &in->error);
		return 0;
	case ARGP_KEY_END:
		if (!spec->source.rootfs && !spec->source.program && !spec->source.from)
			(void)arrow_fail(&in->error, EINVAL,
				"requires a program or image, as in 'arrow run ./hello'");
		return 0;
	default:
		r = parse_value(in, key, arg);
		if (r < 0)
			cli_name_option(state, key, &in->error);
		return r == 1 ? ARGP_ERR_UNKNOWN : 0;
	}
}

#define ARGS "PROGRAM|IMAGE [ARG...]\n--rootfs DIR COMMAND [ARG...]\n--from DIR"

static const struct argp run_argp = {
	options,
	parse,
	ARGS,
	"Run a program in its own microVM.\v"
	"PROGRAM is an ELF file of this host, static or dynamic, which runs with its libraries. "
	"IMAGE is a container image, NAME[:TAG] or NAME@DIGEST; options override its settings. "
	"A name that begins with '.' or '/' is a program; any other name is a local image or else a program in PATH. "
	"Exit status: that of the program, 128+N if signal N ended it, 125 if Arrow failed, 126 if the program cannot be executed, 127 if there is no such program.",
	NULL,
	NULL,
	NULL,
};

static const struct argp create_argp = {
	options,
	parse,
	ARGS,
	"Create an Arrow for 'arrow start', and print its id.",
	NULL,
	NULL,
	NULL,
};

/* Options of which each is fine, but not with another. */
static int check(struct input *in, bool create)
{
	struct arrow_spec *spec = &in->spec;
	uint8_t keys[CLIENT_KEYS_MAX];
	int r;

	if (in->error.text)
		return -EINVAL;
	r = arrow_parse_caps(spec, &in->cap_add, &in->cap_drop, &in->error);
	if (r < 0)
		return r;
	if (spec->life.auto_remove && spec->life.restart != ARROW_RESTART_NO)
		return arrow_fail(&in->error, EINVAL,
			"--rm and --restart cannot be combined: leave one of them out");
	if (in->detach_keys) {
		r = client_parse_keys(in->detach_keys, keys, &in->error);
		if (r < 0)
			return r;
	}
	spec->process.stdin_once = spec->process.interactive && !in->detach;
	/* A log that goes with the Arrow, whose output somebody sees, would only cost time. */
	if (spec->life.auto_remove && !in->detach && !create && !spec->log.driver)
		return cli_set_string(&spec->log.driver, "none", &in->error);
	return 0;
}

/* The network of one that names none: stored with it, so that each start has the same. */
static int choose_network(struct input *in)
{
	const char *named = getenv("ARROW_NETWORK");
	const char *name = net_default(named);

	/* A saved one has its own. */
	if (in->spec.source.from || in->spec.net.names.n)
		return 0;
	if (in->spec.verbose && !(named && *named) && strcmp(name, NET_DEFAULT) != 0)
		fprintf(stderr,
			"arrow: no permission to create networks here: using --network %s\n", name);
	return cli_add_string(&in->spec.net.names, name, &in->error);
}

static int run(struct input *in, bool create, int *status)
{
	struct arrow_paths paths = {0};
	char id[ARROW_ID_HEX] = "";
	int r = check(in, create);
	bool checked = r == 0;

	if (r == 0)
		r = arrow_paths_init(&paths, &in->error);
	if (r == 0 && !in->spec.source.from)
		r = arrow_spec_resolve(&in->spec, &paths, &in->error);
	if (r == 0)
		r = choose_network(in);
	if (r == 0 && create)
		r = arrow_create(&paths, &in->spec, in->cidfile, id, &in->error);
	else if (r == 0)
		r = arrow_run(&paths, &in->spec, in->cidfile,
			&(struct arrow_attach){
				.input = in->spec.process.interactive && !in->detach,
				.output = !in->detach,
				.bound = true,
				.proxy = true,
				.detach_keys = in->detach_keys,
			},
			id, status, &in->error);
	/*
	 * As Docker: also the id of one whose program could not be started; but one that was
	 * interrupted before its program started has no id to tell.
	 */
	if ((create || in->detach) && *id && *status == 0) {
		puts(id);
		*status = cli_flush();
	}
	/* Docker's daemon makes it, and its failures are 1. */
	if (r < 0 && create && checked)
		in->error.status = 1;
	arrow_paths_release(&paths);
	return r;
}

static int run_or_create(const struct argp *argp, bool create, int argc, char **argv)
{
	struct input in = {.error = ARROW_ERROR_INIT};
	int status = 0;

	arrow_spec_init(&in.spec);
	cli_parse(argp, argc, argv, ARGP_IN_ORDER, &in);
	if (run(&in, create, &status) < 0)
		status = cli_error(&in.error);
	arrow_strings_release(&in.cap_add);
	arrow_strings_release(&in.cap_drop);
	arrow_spec_release(&in.spec);
	return status;
}

int cmd_run(int argc, char **argv)
{
	return run_or_create(&run_argp, false, argc, argv);
}

int cmd_create(int argc, char **argv)
{
	return run_or_create(&create_argp, true, argc, argv);
}
