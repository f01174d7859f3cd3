// SPDX-License-Identifier: Apache-2.0
/* The options of arrow run and arrow create: what each is, and where its value goes. */
#include "cli/input/settings.h"
#include "cli/run_options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input/filter.h"
#include "cli/input/options.h"
#include "cli/input/values.h"
#include "cli/limit_options.h"
#include "cli/output/print.h"
#include "core/client/client.h"
#include "core/spec/parse.h"
#include "package/resolve.h"
#include "util/cleanup.h"
#include "util/text.h"

enum {
	OPT_ADD_HOST = 256,
	OPT_DOMAINNAME,
	OPT_LABEL_FILE,
	OPT_MOUNT,
	OPT_VOLUMES_FROM,
	OPT_VOLUME_DRIVER,
	OPT_SIG_PROXY,
	OPT_CAP_ADD,
	OPT_CAP_DROP,
	OPT_CIDFILE,
	OPT_COLD,
	OPT_CPUS,
	OPT_DEVICE_READ_BPS,
	OPT_DEVICE_WRITE_BPS,
	OPT_DEVICE_READ_IOPS,
	OPT_DEVICE_WRITE_IOPS,
	OPT_OOM_KILL_DISABLE,
	OPT_OOM_SCORE,
	OPT_DETACH_KEYS,
	OPT_DNS,
	OPT_DNS_OPTION,
	OPT_DNS_SEARCH,
	OPT_ENGINE,
	OPT_ENTRYPOINT,
	OPT_ENV_FILE,
	OPT_FROM,
	OPT_GROUP_ADD,
	OPT_HEALTH_CMD,
	OPT_HEALTH_INTERVAL,
	OPT_HEALTH_RETRIES,
	OPT_HEALTH_START_INTERVAL,
	OPT_HEALTH_START_PERIOD,
	OPT_HEALTH_TIMEOUT,
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
	{"quiet", 'q', 0, 0, "Do not show the progress of a pull", 0},
	{"from", OPT_FROM, "DIR", 0, "Restore an Arrow from a directory written by 'arrow save'", 0},
	{"rootfs", OPT_ROOTFS, "DIR", 0, "Run a command in this root directory, which is not changed", 0},
	{"entrypoint", OPT_ENTRYPOINT, "PROGRAM", 0, "Program to start instead of the image's, a path in the root", 0},
	{"env", 'e', "NAME[=VALUE]", 0, "Set an environment variable; NAME alone passes on yours", 0},
	{"env-file", OPT_ENV_FILE, "FILE", 0, "Read environment variables from a file, one per line", 0},
	{"workdir", 'w', "DIR", 0, "Working directory of the program", 0},
	{"user", 'u', "USER[:GROUP]", 0, "User name or id", 0},
	{"group-add", OPT_GROUP_ADD, "GROUP", 0, "Additional group of the user, a name or an id", 0},

	{0, 0, 0, 0, "Input and output:", 2},
	{"attach", 'a', "STREAM", 0, "Attach only stdin, stdout or stderr; can be given several times", 0},
	{"interactive", 'i', 0, 0, "Attach stdin", 0},
	{"tty", 't', 0, 0, "Allocate a terminal", 0},
	{"verbose", OPT_VERBOSE, 0, 0, "Log each step with its time on stderr", 0},

	{0, 0, 0, 0, "Life:", 3},
	{"detach", 'd', 0, 0, "Run in the background, and print the id", 0},
	{"detach-keys", OPT_DETACH_KEYS, "KEYS", 0, "Key sequence that detaches (ctrl-p,ctrl-q)", 0},
	{"sig-proxy", OPT_SIG_PROXY, "true|false", OPTION_ARG_OPTIONAL, "Forward signals to the program (true)", 0},
	{"rm", OPT_RM, 0, 0, "Remove the Arrow when it ends", 0},
	{"cidfile", OPT_CIDFILE, "FILE", 0, "Write the id to a new file", 0},
	LIMIT_RESTART_OPTION,
	{"stop-signal", OPT_STOP_SIGNAL, "SIGNAL", 0, "Signal to stop the program (SIGTERM)", 0},
	{"stop-timeout", OPT_STOP_TIMEOUT, "SECONDS", 0, "Seconds to wait before killing it (10); -1 for ever", 0},
	{"restore-signal", OPT_RESTORE_SIGNAL, "SIGNAL", 0, "Signal to send to a restored program (none)", 0},
	{"log-driver", OPT_LOG_DRIVER, "DRIVER", 0, "Log driver: json-file, journald or none", 0},
	{"log-opt", OPT_LOG_OPT, "NAME=VALUE", 0, "Log options of json-file: max-size, max-file, labels, env", 0},

	{"health-cmd", OPT_HEALTH_CMD, "COMMAND", 0, "Shell command that checks health", 0},
	{"health-interval", OPT_HEALTH_INTERVAL, "TIME", 0, "Time between checks (30s)", 0},
	{"health-timeout", OPT_HEALTH_TIMEOUT, "TIME", 0, "Time limit of a check (30s)", 0},
	{"health-retries", OPT_HEALTH_RETRIES, "N", 0, "Consecutive failures until unhealthy (3)", 0},
	{"health-start-period", OPT_HEALTH_START_PERIOD, "TIME", 0, "Initial time in which failures do not count (0s)", 0},
	{"health-start-interval", OPT_HEALTH_START_INTERVAL, "TIME", 0, "Time between checks during the start period (5s)", 0},
	{"no-healthcheck", OPT_NO_HEALTHCHECK, 0, 0, "Disable health checks, including the image's", 0},

	{0, 0, 0, 0, "Files:", 4},
	{"volume", 'v', "[SOURCE:]GUEST[:ro]", 0, "Mount a directory or file of the host, or a volume by name; without a source a new volume", 0},
	{"volumes-from", OPT_VOLUMES_FROM, "ARROW[:ro]", 0, "Mount all volumes of another Arrow", 0},
	{"volume-driver", OPT_VOLUME_DRIVER, "local", 0, "Accepted for compatibility with Docker", 0},
	{"mount", OPT_MOUNT, "KEY=VALUE,...", 0, "Mount a volume, a directory or file of the host, or a tmpfs: type=volume|bind|tmpfs, source, target, readonly, volume-nocopy, volume-subpath, volume-label, volume-opt, tmpfs-size, tmpfs-mode", 0},
	{"tmpfs", OPT_TMPFS, "DIR[:OPTIONS]", 0, "Mount an empty tmpfs", 0},
	{"read-only", OPT_READ_ONLY, 0, 0, "Mount the root read-only", 0},
	{"shm-size", OPT_SHM_SIZE, "SIZE", 0, "Size of /dev/shm (64m)", 0},

	{0, 0, 0, 0, "Limits:", 5},
	{"memory", 'm', "SIZE", 0, "Memory of the VM (512m)", 0},
	{"cpus", OPT_CPUS, "N", 0, "Number of CPUs (1)", 0},
	LIMIT_OPTIONS,
	{"device-read-bps", OPT_DEVICE_READ_BPS, "DEVICE:RATE", 0, "Limit reads from a device of the host, in bytes per second", 0},
	{"device-write-bps", OPT_DEVICE_WRITE_BPS, "DEVICE:RATE", 0, "Limit writes to a device of the host, in bytes per second", 0},
	{"device-read-iops", OPT_DEVICE_READ_IOPS, "DEVICE:N", 0, "Limit reads from a device of the host, per second", 0},
	{"device-write-iops", OPT_DEVICE_WRITE_IOPS, "DEVICE:N", 0, "Limit writes to a device of the host, per second", 0},
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
	{"network", OPT_NETWORK, "NETWORK", 0, "none, the name of a network, user, bridge:DEVICE or ns:PATH, or one of them with what is chosen there: name=NETWORK,ip=ADDRESS,ip6=ADDRESS,mac-address=MAC,alias=NAME; can be given several times", 0},
	{"net", OPT_NETWORK, "NETWORK", OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
	{"publish", 'p', "[[IP:]HOST:]GUEST[/udp]", 0, "Publish a port, or a range of ports, on the host", 0},
	{"publish-all", 'P', 0, 0, "Publish all exposed ports on free ports of the host", 0},
	{"expose", OPT_EXPOSE, "PORT[/udp]", 0, "Expose a port, for -P", 0},
	{"network-alias", OPT_NETWORK_ALIAS, "NAME", 0, "Additional name on all networks", 0},
	{"ip", OPT_IP, "ADDRESS", 0, "IPv4 address on the first network", 0},
	{"ip6", OPT_IP6, "ADDRESS", 0, "IPv6 address on the first network", 0},
	{"mac-address", OPT_MAC, "MAC", 0, "MAC address on the first network", 0},

	{0, 0, 0, 0, "Names:", 8},
	{"name", OPT_NAME, "NAME", 0, "Name of the Arrow", 0},
	{"hostname", 'h', "NAME", 0, "Host name in the guest", 0},
	{"domainname", OPT_DOMAINNAME, "NAME", 0, "Domain name in the guest", 0},
	{"add-host", OPT_ADD_HOST, "NAME:ADDRESS", 0, "Add a line to /etc/hosts", 0},
	{"dns", OPT_DNS, "ADDRESS", 0, "Name server in /etc/resolv.conf", 0},
	{"dns-search", OPT_DNS_SEARCH, "DOMAIN", 0, "Search domain in /etc/resolv.conf", 0},
	{"dns-option", OPT_DNS_OPTION, "OPTION", 0, "Option in /etc/resolv.conf", 0},
	{"label", 'l', "KEY=VALUE", 0, "Set a label", 0},
	{"label-file", OPT_LABEL_FILE, "FILE", 0, "Read labels from a file, one per line", 0},

	{0, 0, 0, 0, "Machine:", 9},
	{"engine", OPT_ENGINE, "ENGINE", 0, "Engine that runs the VM: qemu, qemu:kvm, qemu:tcg", 0},
	{"kernel", OPT_KERNEL, "KERNEL", 0, "Kernel profile (micro, general) or id", 0},
	{"cold", OPT_COLD, 0, 0, "Boot the kernel instead of cloning a template", 0},

	{0, 0, 0, 0, "Accepted for compatibility with Docker; always on:", 10},
	{"init", OPT_INIT, 0, 0, "Run an init that reaps processes and forwards signals", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

/* What becomes of the value of an option. */
enum run_kind {
	RUN_IGNORED,  /* it is so without the option */
	RUN_TRUE,     /* the option has none */
	RUN_BORROWED, /* kept as it is, in argv */
	RUN_TEXT,     /* copied */
	RUN_LIST,     /* a copy is added */
	RUN_NUMBER,   /* parsed by `number` */
	RUN_SIZE,     /* parsed by `size` */
	RUN_RATE,     /* of a device; `at` is the arrow_rate_kind */
	RUN_SPEC,     /* taken into the spec by `spec` */
	RUN_INPUT,    /* taken into the input by `input` */
};

struct run_value {
	int key;
	enum run_kind kind;
	size_t at;                                                  /* in struct run_input */
	int (*check)(const char *value, struct arrow_error *error); /* of a text or list; or NULL */
	int (*number)(const char *value, uint32_t *number, struct arrow_error *error);
	int (*size)(const char *value, uint64_t *size, struct arrow_error *error);
	int (*spec)(struct arrow_spec *spec, const char *value, struct arrow_error *error);
	int (*input)(struct run_input *in, const char *value);
	bool strict; /* "" is a value; elsewhere it means, as in Docker, that there is none */
};

static int run_parse_shm_size(const char *value, uint64_t *size, struct arrow_error *error)
{
	int r = arrow_parse_size(value, size, error);

	if (r == 0 && *size == 0)
		*size = ARROW_DEFAULT_SHM;
	return r;
}

static int run_parse_env(struct arrow_spec *spec, const char *value, struct arrow_error *error)
{
	return arrow_parse_env(spec, value, cli_settings_variable, error);
}

static int run_parse_env_file(struct arrow_spec *spec, const char *value, struct arrow_error *error)
{
	return arrow_parse_env_file(spec, value, cli_settings_variable, error);
}

static int run_parse_port(struct arrow_spec *spec, const char *value, struct arrow_error *error)
{
	return net_ports_parse(&spec->net.ports, value, error);
}

static int run_check_expose(const char *value, struct arrow_error *error)
{
	struct net_ports ports = {0};
	int r = net_ports_expose(&ports, value, error);

	net_ports_release(&ports);
	if (r != -E2BIG)
		return r;
	/* Exposed ports are only shown, but with -P; then there are too many. */
	arrow_error_clear(error);
	return 0;
}

static int run_check_path(const char *value, struct arrow_error *error)
{
	return *value ? 0 : arrow_fail(error, EINVAL, "requires the path of a directory");
}

static int run_check_workdir(const char *value, struct arrow_error *error)
{
	if (value[0] == '/')
		return 0;
	return arrow_fail(
		error, EINVAL, "the working directory '%s' is not an absolute path", value);
}

static int run_check_ip(const char *value, struct arrow_error *error)
{
	return arrow_parse_address(value, 4, error);
}

static int run_check_ip6(const char *value, struct arrow_error *error)
{
	return arrow_parse_address(value, 6, error);
}

static int run_check_log_opt(const char *value, struct arrow_error *error)
{
	if (strchr(value, '='))
		return 0;
	return arrow_fail(error, EINVAL, "--log-opt takes NAME=VALUE, not '%s'", value);
}

static int run_check_keys(const char *value, struct arrow_error *error)
{
	uint8_t keys[CLIENT_KEYS_MAX];
	int r = client_parse_keys(value, keys, error);

	return r < 0 ? r : 0;
}

static int run_parse_security(struct arrow_spec *spec, const char *value, struct arrow_error *error)
{
	if (strcmp(value, "no-new-privileges") != 0 &&
		strcmp(value, "no-new-privileges=true") != 0 &&
		strcmp(value, "no-new-privileges:true") != 0)
		return arrow_fail(error, EINVAL,
			"no such security option: '%s'; use no-new-privileges", value);
	spec->process.no_new_privs = true;
	return 0;
}

/* NULL, of --no-healthcheck: no check at all, whatever the image says. */
static int run_parse_health(struct arrow_spec *spec, const char *command, struct arrow_error *error)
{
	int r;

	if (command && *command == '\0')
		return 0;
	if (spec->life.health.test.n > 0)
		return arrow_fail(error, EINVAL,
			"--health-cmd can be given once, and not with --no-healthcheck");
	r = cli_add_string(&spec->life.health.test, command ? "CMD-SHELL" : "NONE", error);
	return r == 0 && command ? cli_add_string(&spec->life.health.test, command, error) : r;
}

static int run_parse_attach(struct run_input *in, const char *value)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};

	for (uint32_t fd = 0; fd < 3; fd++) {
		if (strcasecmp(value, names[fd]) == 0) {
			in->attach |= 1u << fd;
			return 0;
		}
	}
	return arrow_fail(
		&in->error, EINVAL, "invalid stream '%s': use stdin, stdout or stderr", value);
}

/* value: NULL where the option has none */
static int run_parse_sig_proxy(struct run_input *in, const char *value)
{
	int truth = text_parse_bool(value);

	if (truth < 0)
		return arrow_fail(
			&in->error, EINVAL, "--sig-proxy takes true or false, not '%s'", value);
	in->no_proxy = !truth;
	return 0;
}

/* clang-format off */
/* Where a field is; the build fails if it is not of the type that its kind writes. */
#define AT(type, field) \
	.at = offsetof(struct run_input, field) + \
		0 * sizeof(char[__builtin_types_compatible_p(type, __typeof__(((struct run_input *)0)->field)) ? 1 : -1])
static const struct run_value values[] = {
	{'i', RUN_TRUE, AT(bool, spec.process.interactive)},
	{'t', RUN_TRUE, AT(bool, spec.process.tty)},
	{'d', RUN_TRUE, AT(bool, detach)},
	{'q', RUN_TRUE, AT(bool, spec.source.quiet)},
	{'P', RUN_TRUE, AT(bool, spec.net.publish_all)},
	{OPT_READ_ONLY, RUN_TRUE, AT(bool, spec.files.read_only)},
	{OPT_PRIVILEGED, RUN_TRUE, AT(bool, spec.process.privileged)},
	{OPT_VERBOSE, RUN_TRUE, AT(bool, spec.verbose)},
	{OPT_COLD, RUN_TRUE, AT(bool, spec.vm.cold)},
	{OPT_RM, RUN_TRUE, AT(bool, spec.life.auto_remove)},
	{OPT_OOM_KILL_DISABLE, RUN_TRUE, AT(bool, spec.limits.oom_kill_disable)},
	{OPT_INIT, RUN_IGNORED},
	{OPT_PLATFORM, RUN_IGNORED, .check = arrow_parse_platform},

	{OPT_DETACH_KEYS, RUN_BORROWED, AT(const char *, detach_keys), .check = run_check_keys},
	{OPT_CIDFILE, RUN_BORROWED, AT(const char *, cidfile)},
	{OPT_NAME, RUN_TEXT, AT(char *, spec.name), .check = arrow_parse_name},
	{'h', RUN_TEXT, AT(char *, spec.net.hostname), .check = arrow_parse_hostname},
	{OPT_DOMAINNAME, RUN_TEXT, AT(char *, spec.net.domainname), .check = arrow_parse_hostname},
	{'w', RUN_TEXT, AT(char *, spec.process.workdir), .check = run_check_workdir},
	{'u', RUN_TEXT, AT(char *, spec.process.user)},
	{OPT_ENTRYPOINT, RUN_TEXT, AT(char *, spec.process.entrypoint), .strict = true},
	{OPT_ROOTFS, RUN_TEXT, AT(char *, spec.source.rootfs), .check = run_check_path, .strict = true},
	{OPT_FROM, RUN_TEXT, AT(char *, spec.source.from), .check = run_check_path, .strict = true},
	{OPT_ENGINE, RUN_TEXT, AT(char *, spec.vm.engine)},
	{OPT_KERNEL, RUN_TEXT, AT(char *, spec.vm.kernel)},
	{OPT_IP, RUN_TEXT, AT(char *, spec.net.ip), .check = run_check_ip},
	{OPT_IP6, RUN_TEXT, AT(char *, spec.net.ip6), .check = run_check_ip6},
	{OPT_MAC, RUN_TEXT, AT(char *, spec.net.mac), .check = arrow_parse_mac},
	{OPT_LOG_DRIVER, RUN_TEXT, AT(char *, spec.log.driver)},

	{OPT_VOLUMES_FROM, RUN_LIST, AT(struct arrow_strings, spec.files.volumes_from)},
	{OPT_LOG_OPT, RUN_LIST, AT(struct arrow_strings, spec.log.opts), .check = run_check_log_opt},
	{OPT_NETWORK_ALIAS, RUN_LIST, AT(struct arrow_strings, spec.net.aliases)},
	{OPT_EXPOSE, RUN_LIST, AT(struct arrow_strings, spec.net.exposed), .check = run_check_expose, .strict = true},
	{OPT_GROUP_ADD, RUN_LIST, AT(struct arrow_strings, spec.process.groups)},
	{OPT_DNS_SEARCH, RUN_LIST, AT(struct arrow_strings, spec.net.dns_search)},
	{OPT_DNS_OPTION, RUN_LIST, AT(struct arrow_strings, spec.net.dns_options)},
	{OPT_CAP_ADD, RUN_LIST, AT(struct arrow_strings, cap_add), .strict = true},
	{OPT_CAP_DROP, RUN_LIST, AT(struct arrow_strings, cap_drop), .strict = true},

	{LIMIT_CPU_PERIOD, RUN_NUMBER, AT(uint32_t, cpu_time.period), .number = arrow_parse_cpu_period},
	{LIMIT_CPU_QUOTA, RUN_NUMBER, AT(uint32_t, cpu_time.quota), .number = arrow_parse_cpu_quota},
	{OPT_TIMEOUT, RUN_NUMBER, AT(uint32_t, spec.life.timeout), .number = arrow_parse_timeout, .strict = true},
	{OPT_PULL, RUN_NUMBER, AT(uint32_t, spec.source.pull), .number = arrow_parse_pull},
	{OPT_HEALTH_RETRIES, RUN_NUMBER, AT(uint32_t, spec.life.health.retries), .number = arrow_parse_retries, .strict = true},
	{OPT_STOP_SIGNAL, RUN_NUMBER, AT(uint32_t, spec.life.stop_signal), .number = arrow_parse_signal},
	{OPT_STOP_TIMEOUT, RUN_NUMBER, AT(uint32_t, spec.life.stop_timeout), .number = arrow_parse_stop_timeout, .strict = true},
	{OPT_RESTORE_SIGNAL, RUN_NUMBER, AT(uint32_t, spec.vm.restore_signal), .number = arrow_parse_signal},
	{OPT_SHM_SIZE, RUN_SIZE, AT(uint64_t, spec.files.shm_size), .size = run_parse_shm_size},
	{OPT_HEALTH_INTERVAL, RUN_SIZE, AT(uint64_t, spec.life.health.interval), .size = arrow_parse_duration},
	{OPT_HEALTH_TIMEOUT, RUN_SIZE, AT(uint64_t, spec.life.health.timeout), .size = arrow_parse_duration},
	{OPT_HEALTH_START_PERIOD, RUN_SIZE, AT(uint64_t, spec.life.health.start_period), .size = arrow_parse_duration},
	{OPT_HEALTH_START_INTERVAL, RUN_SIZE, AT(uint64_t, spec.life.health.start_interval), .size = arrow_parse_duration},

	{OPT_DEVICE_READ_BPS, RUN_RATE, ARROW_RATE_READ_BPS},
	{OPT_DEVICE_WRITE_BPS, RUN_RATE, ARROW_RATE_WRITE_BPS},
	{OPT_DEVICE_READ_IOPS, RUN_RATE, ARROW_RATE_READ_IOPS},
	{OPT_DEVICE_WRITE_IOPS, RUN_RATE, ARROW_RATE_WRITE_IOPS},

	{'e', RUN_SPEC, .spec = run_parse_env},
	{OPT_ENV_FILE, RUN_SPEC, .spec = run_parse_env_file},
	{'v', RUN_SPEC, .spec = arrow_parse_volume},
	{OPT_MOUNT, RUN_SPEC, .spec = arrow_parse_mount},
	{OPT_VOLUME_DRIVER, RUN_SPEC, .spec = arrow_parse_volume_driver},
	{OPT_TMPFS, RUN_SPEC, .spec = arrow_parse_tmpfs},
	{'m', RUN_SPEC, .spec = arrow_parse_memory},
	{OPT_CPUS, RUN_SPEC, .spec = arrow_parse_cpus},
	{LIMIT_MEMORY_SWAP, RUN_SPEC, .spec = arrow_parse_memory_swap},
	{'c', RUN_SPEC, .spec = arrow_parse_cpu_shares},
	{LIMIT_CPUSET, RUN_SPEC, .spec = arrow_parse_cpuset},
	{LIMIT_PIDS, RUN_SPEC, .spec = arrow_parse_pids},
	{LIMIT_BLKIO_WEIGHT, RUN_SPEC, .spec = arrow_parse_blkio_weight},
	{OPT_OOM_SCORE, RUN_SPEC, .spec = arrow_parse_oom_score},
	{OPT_ULIMIT, RUN_SPEC, .spec = arrow_parse_ulimit},
	{OPT_SYSCTL, RUN_SPEC, .spec = arrow_parse_sysctl},
	{OPT_SECURITY_OPT, RUN_SPEC, .spec = run_parse_security},
	{OPT_NETWORK, RUN_SPEC, .spec = arrow_parse_network},
	{OPT_ADD_HOST, RUN_SPEC, .spec = arrow_parse_host},
	{OPT_DNS, RUN_SPEC, .spec = arrow_parse_dns},
	{'l', RUN_SPEC, .spec = arrow_parse_label},
	{OPT_LABEL_FILE, RUN_SPEC, .spec = arrow_parse_label_file},
	{'p', RUN_SPEC, .spec = run_parse_port},
	{'a', RUN_INPUT, .input = run_parse_attach},
	{OPT_SIG_PROXY, RUN_INPUT, .input = run_parse_sig_proxy},
	{LIMIT_RESTART, RUN_SPEC, .spec = arrow_parse_restart},
	{OPT_HEALTH_CMD, RUN_SPEC, .spec = run_parse_health},
	{OPT_NO_HEALTHCHECK, RUN_SPEC, .spec = run_parse_health},
};
/* clang-format on */

/* The option is as if it were not given. */
static int run_unset(void *to, enum run_kind kind)
{
	if (kind == RUN_BORROWED)
		*(const char **)to = NULL;
	else if (kind == RUN_TEXT)
		free(STEAL(*(char **)to));
	else if (kind == RUN_NUMBER)
		*(uint32_t *)to = 0;
	return 0;
}

static int run_take_value(struct run_input *in, const struct run_value *v, const char *value)
{
	void *to = (char *)in + v->at;
	struct arrow_error *e = &in->error;
	int r = 0;

	if (v->kind < RUN_SIZE && value && *value == '\0' && !v->strict)
		return run_unset(to, v->kind);
	if (v->check)
		r = v->check(value, e);
	if (r < 0)
		return r;
	switch (v->kind) {
	case RUN_IGNORED:
		break;
	case RUN_TRUE:
		*(bool *)to = true;
		break;
	case RUN_BORROWED:
		*(const char **)to = value;
		break;
	case RUN_TEXT:
		return cli_set_string(to, value, e);
	case RUN_LIST:
		return cli_add_string(to, value, e);
	case RUN_NUMBER:
		return v->number(value, to, e);
	case RUN_SIZE:
		return v->size(value, to, e);
	case RUN_RATE:
		return arrow_parse_rate(&in->spec, (enum arrow_rate_kind)v->at, value, e);
	case RUN_SPEC:
		return v->spec(&in->spec, value, e);
	case RUN_INPUT:
		return v->input(in, value);
	}
	return 0;
}

/* What is run, and all that follows it, which is the program's with or without a dash. */
static void run_take_operands(struct run_input *in, const char *first, struct argp_state *state)
{
	struct arrow_spec *spec = &in->spec;
	int r = spec->source.rootfs ? cli_add_string(&spec->process.args, first, &in->error)
				    : cli_set_string(&spec->source.program, first, &in->error);

	while (r == 0 && state->next < state->argc)
		r = cli_add_string(&spec->process.args, state->argv[state->next++], &in->error);
}

static error_t run_parse(int key, char *value, struct argp_state *state)
{
	struct run_input *in = state->input;
	const struct arrow_spec_source *source = &in->spec.source;

	/* One line, from the first thing that is wrong: what follows it is not looked at. */
	if (in->error.text) {
		state->next = state->argc;
		return 0;
	}
	if (key == ARGP_KEY_ARG) {
		run_take_operands(in, value, state);
		return 0;
	}
	if (key == ARGP_KEY_END) {
		if (!source->rootfs && !source->program && !source->from)
			(void)arrow_fail_status(&in->error, CLI_FAILED, EINVAL,
				"requires a program or image, as in 'arrow run ./hello'");
		else if (arrow_set_cpu_time(&in->spec, in->cpu_time.quota, in->cpu_time.period,
				 &in->error) == 0)
			(void)!arrow_check_networks(&in->spec, &in->error);
		return 0;
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		if (values[i].key != key)
			continue;
		if (run_take_value(in, &values[i], value) < 0) {
			cli_name_option(state, key, &in->error);
			state->next = state->argc;
		}
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

#define ARGS "PROGRAM|IMAGE [ARG...]\n--rootfs DIR COMMAND [ARG...]\n--from DIR"

static const struct argp run_argp = {
	options,
	run_parse,
	ARGS,
	"Run a program in its own microVM.\v"
	"PROGRAM is an ELF file of this host, static or dynamic, which runs with its libraries. "
	"IMAGE is a container image, NAME[:TAG] or NAME@DIGEST; options override its settings. "
	"A name that begins with '.' or '/' is a program; any other name is a local image or else a program in PATH. "
	"Exit status: that of the program, 128+N if signal N ended it, 125 if Arrow failed, 126 if the program cannot be executed, 127 if there is no such program. What does not begin with / or . may be an image, and is 125 if it is missing.",
	NULL,
	NULL,
	NULL,
};

static const struct argp create_argp = {
	options,
	run_parse,
	ARGS,
	"Create an Arrow for 'arrow start', and print its id.",
	NULL,
	NULL,
	NULL,
};

void run_options_parse(struct run_input *in, int argc, char **argv)
{
	in->error = (struct arrow_error)ARROW_ERROR_INIT;
	arrow_spec_init(&in->spec);
	cli_parse(in->create ? &create_argp : &run_argp, argc, argv, ARGP_IN_ORDER, in);
}

void run_input_release(struct run_input *in)
{
	arrow_strings_release(&in->cap_add);
	arrow_strings_release(&in->cap_drop);
	arrow_spec_release(&in->spec);
	arrow_error_clear(&in->error);
}
