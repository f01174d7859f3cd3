// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/arrow.h"
#include "util/cleanup.h"

enum {
	OPT_ADD_HOST = 256,
	OPT_CAP_ADD,
	OPT_CAP_DROP,
	OPT_COLD,
	OPT_CPUS,
	OPT_DNS,
	OPT_DNS_OPTION,
	OPT_DNS_SEARCH,
	OPT_ENGINE,
	OPT_ENTRYPOINT,
	OPT_ENV_FILE,
	OPT_HOSTNAME,
	OPT_INIT,
	OPT_KERNEL,
	OPT_EXPOSE,
	OPT_IP,
	OPT_IP6,
	OPT_MAC,
	OPT_NAME,
	OPT_NETWORK,
	OPT_NETWORK_ALIAS,
	OPT_PRIVILEGED,
	OPT_PULL,
	OPT_READ_ONLY,
	OPT_RM,
	OPT_ROOTFS,
	OPT_SECURITY_OPT,
	OPT_SHM_SIZE,
	OPT_SYSCTL,
	OPT_TIMEOUT,
	OPT_TMPFS,
	OPT_ULIMIT,
	OPT_VERBOSE,
};

/* clang-format off */
static const struct argp_option options[] = {
	{0, 0, 0, 0, "What is run:", 1},
	{"pull", OPT_PULL, "always|missing|never", 0, "When to fetch an image (missing)", 0},
	{"rootfs", OPT_ROOTFS, "DIR", 0, "Run a command of this root directory; the directory itself is not changed", 0},
	{"entrypoint", OPT_ENTRYPOINT, "PROGRAM", 0, "The program to start instead, a path in the root", 0},
	{"env", 'e', "NAME[=VALUE]", 0, "Set a variable; NAME alone takes over yours", 0},
	{"env-file", OPT_ENV_FILE, "FILE", 0, "Set the variables in a file, one a line", 0},
	{"workdir", 'w', "DIR", 0, "Directory that the program starts in", 0},
	{"user", 'u', "USER[:GROUP]", 0, "User, by name or number", 0},

	{0, 0, 0, 0, "Input and output:", 2},
	{"interactive", 'i', 0, 0, "Pass stdin to the program", 0},
	{"tty", 't', 0, 0, "Give the program a terminal", 0},
	{"verbose", OPT_VERBOSE, 0, 0, "Say what happens, with times, on stderr", 0},

	{0, 0, 0, 0, "Files:", 3},
	{"volume", 'v', "HOST:GUEST[:ro]", 0, "Give a directory or file of the host", 0},
	{"tmpfs", OPT_TMPFS, "DIR[:OPTIONS]", 0, "Mount an empty file system in memory", 0},
	{"read-only", OPT_READ_ONLY, 0, 0, "The root cannot be written", 0},
	{"shm-size", OPT_SHM_SIZE, "SIZE", 0, "Size of /dev/shm (64m)", 0},

	{0, 0, 0, 0, "Limits:", 4},
	{"memory", 'm', "SIZE", 0, "Memory of the VM (512m)", 0},
	{"cpus", OPT_CPUS, "N", 0, "Number of CPUs (1)", 0},
	{"timeout", OPT_TIMEOUT, "SECONDS", 0, "Kill the program after so long", 0},
	{"ulimit", OPT_ULIMIT, "NAME=SOFT[:HARD]", 0, "Set a resource limit", 0},

	{0, 0, 0, 0, "Rights in the guest:", 5},
	{"cap-add", OPT_CAP_ADD, "CAP", 0, "Add a capability, or ALL", 0},
	{"cap-drop", OPT_CAP_DROP, "CAP", 0, "Drop a capability, or ALL", 0},
	{"privileged", OPT_PRIVILEGED, 0, 0, "All capabilities, no masked paths; the host is as safe as before", 0},
	{"security-opt", OPT_SECURITY_OPT, "no-new-privileges", 0, "setuid programs gain nothing", 0},
	{"sysctl", OPT_SYSCTL, "NAME=VALUE", 0, "Set a parameter of the guest's kernel", 0},

	{0, 0, 0, 0, "Network:", 6},
	{"network", OPT_NETWORK, "NETWORK", 0, "none, a network's name, user, bridge:DEVICE or ns:PATH; several for several cards", 0},
	{"net", OPT_NETWORK, "NETWORK", OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
	{"publish", 'p', "[[IP:]HOST:]GUEST[/udp]", 0, "Publish a port, or a range of ports, on the host", 0},
	{"publish-all", 'P', 0, 0, "Publish what is exposed on free ports of the host", 0},
	{"expose", OPT_EXPOSE, "PORT[/udp]", 0, "A port that -P publishes", 0},
	{"network-alias", OPT_NETWORK_ALIAS, "NAME", 0, "Another name on the network", 0},
	{"ip", OPT_IP, "ADDRESS", 0, "IPv4 address on the first network", 0},
	{"ip6", OPT_IP6, "ADDRESS", 0, "IPv6 address on the first network", 0},
	{"mac-address", OPT_MAC, "MAC", 0, "MAC address on the first network", 0},

	{0, 0, 0, 0, "Names:", 7},
	{"name", OPT_NAME, "NAME", 0, "Name of the Arrow", 0},
	{"hostname", 'h', "NAME", 0, "Host name in the guest", 0},
	{"add-host", OPT_ADD_HOST, "NAME:ADDRESS", 0, "Add a line to /etc/hosts", 0},
	{"dns", OPT_DNS, "ADDRESS", 0, "Name server in /etc/resolv.conf", 0},
	{"dns-search", OPT_DNS_SEARCH, "DOMAIN", 0, "Search domain in /etc/resolv.conf", 0},
	{"dns-option", OPT_DNS_OPTION, "OPTION", 0, "Option in /etc/resolv.conf", 0},
	{"label", 'l', "KEY=VALUE", 0, "Attach a label", 0},

	{0, 0, 0, 0, "Machine:", 8},
	{"engine", OPT_ENGINE, "ENGINE", 0, "What runs the VM: qemu, qemu:kvm, qemu:tcg", 0},
	{"kernel", OPT_KERNEL, "KERNEL", 0, "Kernel profile (micro, general) or id", 0},
	{"cold", OPT_COLD, 0, 0, "Boot the kernel instead of cloning a booted one", 0},

	{0, 0, 0, 0, "Accepted for Docker's sake; always so:", 9},
	{"rm", OPT_RM, 0, 0, "Remove the Arrow when it ends", 0},
	{"init", OPT_INIT, 0, 0, "An init reaps processes and forwards signals", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

struct input {
	struct arrow_spec spec;
	struct arrow_strings cap_add, cap_drop;
	struct arrow_error error;
};

static int set_string(char **where, const char *value, struct arrow_error *error)
{
	free(*where);
	*where = strdup(value);
	return *where ? 0 : arrow_fail(error, ENOMEM, "out of memory");
}

static int add_string(struct arrow_strings *list, const char *value, struct arrow_error *error)
{
	return arrow_strings_add(list, value) < 0 ? arrow_fail(error, ENOMEM, "out of memory") : 0;
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
		return arrow_parse_size(arg, &spec->memory, e);
	case OPT_SHM_SIZE:
		return arrow_parse_size(arg, &spec->shm_size, e);
	case OPT_CPUS:
		return arrow_parse_cpus(arg, &spec->millicpus, e);
	case OPT_TIMEOUT:
		return arrow_parse_timeout(arg, &spec->timeout, e);
	case OPT_ULIMIT:
		return arrow_parse_ulimit(spec, arg, e);
	case OPT_SYSCTL:
		return arrow_parse_sysctl(spec, arg, e);
	case OPT_ADD_HOST:
		return arrow_parse_host(spec, arg, e);
	case 'l':
		return arrow_parse_label(spec, arg, e);
	case 'p':
		return net_ports_parse(&spec->ports, arg, e);
	case OPT_EXPOSE: {
		struct net_ports ports = {0};

		r = net_ports_expose(&ports, arg, e);
		net_ports_release(&ports);
		return r < 0 ? r : add_string(&spec->exposed, arg, e);
	}
	case OPT_NETWORK:
		return add_string(&spec->networks, arg, e);
	case OPT_NETWORK_ALIAS:
		return add_string(&spec->network_aliases, arg, e);
	case OPT_IP:
		return set_string(&spec->ip, arg, e);
	case OPT_IP6:
		return set_string(&spec->ip6, arg, e);
	case OPT_MAC:
		return set_string(&spec->mac, arg, e);
	case OPT_NAME:
		r = arrow_parse_name(arg, e);
		return r < 0 ? r : set_string(&spec->name, arg, e);
	case 'h':
		r = arrow_parse_hostname(arg, e);
		return r < 0 ? r : set_string(&spec->hostname, arg, e);
	case OPT_DNS:
		return arrow_parse_dns(spec, arg, e);
	case OPT_SECURITY_OPT:
		if (strcmp(arg, "no-new-privileges") != 0 &&
			strcmp(arg, "no-new-privileges=true") != 0 &&
			strcmp(arg, "no-new-privileges:true") != 0)
			return arrow_fail(e, EINVAL,
				"no such security option: '%s'; there is no-new-privileges", arg);
		spec->no_new_privs = true;
		return 0;
	case 'w':
		if (arg[0] != '/')
			return arrow_fail(e, EINVAL,
				"the working directory '%s' is not an absolute path", arg);
		return set_string(&spec->workdir, arg, e);
	case OPT_ENTRYPOINT:
		return set_string(&spec->entrypoint, arg, e);
	case 'u':
		return set_string(&spec->user, arg, e);
	case OPT_PULL:
		return arrow_parse_pull(arg, &spec->pull, e);
	case OPT_ROOTFS:
		return set_string(&spec->rootfs, arg, e);
	case OPT_ENGINE:
		return set_string(&spec->engine, arg, e);
	case OPT_KERNEL:
		return set_string(&spec->kernel, arg, e);
	case OPT_DNS_SEARCH:
		return add_string(&spec->dns_search, arg, e);
	case OPT_DNS_OPTION:
		return add_string(&spec->dns_options, arg, e);
	case OPT_CAP_ADD:
		return add_string(&in->cap_add, arg, e);
	case OPT_CAP_DROP:
		return add_string(&in->cap_drop, arg, e);
	default:
		return 1;
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
		spec->interactive = true;
		return 0;
	case 't':
		spec->tty = true;
		return 0;
	case 'P':
		spec->publish_all = true;
		return 0;
	case OPT_READ_ONLY:
		spec->read_only = true;
		return 0;
	case OPT_PRIVILEGED:
		spec->privileged = true;
		return 0;
	case OPT_VERBOSE:
		spec->verbose = true;
		return 0;
	case OPT_COLD:
		spec->cold = true;
		return 0;
	case OPT_RM: /* every Arrow is removed and has an init */
	case OPT_INIT:
		return 0;
	case ARGP_KEY_ARG:
		if (!spec->rootfs)
			r = set_string(&spec->program, arg, &in->error);
		else
			r = add_string(&spec->args, arg, &in->error);
		/* All that follows is the program's, with or without a dash. */
		while (r == 0 && state->next < state->argc)
			r = add_string(&spec->args, state->argv[state->next++], &in->error);
		return 0;
	case ARGP_KEY_END:
		if (!spec->rootfs && !spec->program)
			(void)arrow_fail(&in->error, EINVAL,
				"say which program to run, as in 'arrow run ./hello'");
		return 0;
	default:
		r = parse_value(in, key, arg);
		return r == 1 ? ARGP_ERR_UNKNOWN : 0;
	}
}

const struct argp run_argp = {
	options,
	parse,
	"PROGRAM|IMAGE [ARG...]\n--rootfs DIR COMMAND [ARG...]",
	"Run a program in its own microVM, in the foreground.\v"
	"PROGRAM is an ELF file of this host, static or dynamic; its libraries come along. IMAGE "
	"is a "
	"container image, NAME[:TAG] or NAME@DIGEST; options replace what it brings. What begins "
	"with '.' or '/' is a program; another name is an image that is here, else a program in "
	"PATH. "
	"Exit status: "
	"that of the program, 128+N if signal N ended it, 125 if Arrow failed, 126 if the program "
	"cannot be executed, 127 if there is no such program.",
	NULL,
	NULL,
	NULL,
};

int cmd_run(int argc, char **argv)
{
	struct input in = {.error = ARROW_ERROR_INIT};
	struct arrow_paths paths = {0};
	int status = 0, r;

	arrow_spec_init(&in.spec);
	cli_parse(&run_argp, argc, argv, ARGP_IN_ORDER, &in);
	r = in.error.text ? -EINVAL
			  : arrow_parse_caps(&in.spec, &in.cap_add, &in.cap_drop, &in.error);
	if (r == 0)
		r = arrow_paths_init(&paths, &in.error);
	if (r == 0)
		r = arrow_spec_resolve(&in.spec, &paths, &in.error);
	if (r == 0)
		r = arrow_run(&paths, &in.spec, &status, &in.error);
	if (r < 0)
		status = cli_error(&in.error);

	arrow_paths_release(&paths);
	arrow_strings_release(&in.cap_add);
	arrow_strings_release(&in.cap_drop);
	arrow_spec_release(&in.spec);
	return status;
}
