// SPDX-License-Identifier: Apache-2.0
/* Values of options as Docker's command line has them. */
#include "core/spec/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define FILE_MAX (16u << 20) /* bytes, of variables or labels */
#define CAP(n) (1ull << (n))
#define ALL_CAPS ((CAP_LAST_CAP == 63 ? 0 : CAP(CAP_LAST_CAP + 1)) - 1)

/* "64m", "1.5g", "1.5 GiB", as Docker reads sizes. */
int arrow_parse_size(const char *text, uint64_t *bytes, struct arrow_error *error)
{
	static const char units[] = "bkmgtp";
	size_t digits = strspn(text, "0123456789.");
	unsigned int shift = 0;
	long double n;
	const char *unit;
	char *end;

	/* A long double holds every uint64_t. */
	n = strtold(text, &end);
	if (digits == strspn(text, ".") || end != text + digits)
		goto bad;
	if (*end == ' ')
		end++;
	if (*end) {
		unit = strchr(units, tolower((unsigned char)*end));
		if (!unit)
			goto bad;
		shift = 10 * (unsigned int)(unit - units);
		end++;
		if (shift && tolower((unsigned char)*end) == 'i')
			end++;
		if (shift && tolower((unsigned char)*end) == 'b')
			end++;
	}
	n *= (long double)(1ull << shift);
	if (*end || n >= 0x1p64L)
		goto bad;
	*bytes = (uint64_t)n;
	return 0;
bad:
	return arrow_fail(error, EINVAL,
		"invalid size '%s': write a number with b, k, m or g, as in 64m", text);
}

int arrow_parse_memory(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	uint64_t bytes;
	int r = arrow_parse_size(text, &bytes, error);

	if (r < 0)
		return r;
	spec->limits.memory = bytes ? bytes : ARROW_DEFAULT_MEMORY;
	spec->limits.memory_given = bytes != 0;
	return 0;
}

int arrow_parse_cpus(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= 0.0) || n > ARROW_VCPUS_MAX)
		return arrow_fail(error, EINVAL,
			"invalid number of CPUs '%s': write a number from 0.001 to %u, as in 2",
			text, ARROW_VCPUS_MAX);
	spec->limits.cpus_given = n > 0.0;
	spec->limits.millicpus = n > 0.0 ? (uint32_t)(n * 1000.0 + 0.5) : ARROW_DEFAULT_MILLICPUS;
	if (spec->limits.millicpus == 0)
		spec->limits.millicpus = 1;
	return 0;
}

int arrow_parse_timeout(const char *text, uint32_t *seconds, struct arrow_error *error)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || n > INT_MAX / 1000)
		return arrow_fail(error, EINVAL,
			"invalid time '%s': write whole seconds up to %d, 0 for no limit", text,
			INT_MAX / 1000);
	*seconds = (uint32_t)n;
	return 0;
}

int arrow_parse_retries(const char *text, uint32_t *n, struct arrow_error *error)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || value > INT_MAX)
		return arrow_fail(error, EINVAL,
			"invalid number of retries '%s': write a number up to %d, 0 for the default",
			text, INT_MAX);
	*n = (uint32_t)value;
	return 0;
}

/* "A=B" sets, "A" takes over the caller's value, if it has one. */
int arrow_parse_env(struct arrow_spec *spec, const char *text, arrow_variable *caller,
	struct arrow_error *error)
{
	_cleanup_free_ char *pair = NULL;
	const char *value;

	if (text[0] == '=' || text[0] == '\0')
		return arrow_fail(
			error, EINVAL, "invalid environment variable '%s': it has no name", text);
	if (strchr(text, '='))
		return arrow_strings_add(&spec->process.env, text) < 0 ? arrow_no_memory(error) : 0;

	value = caller ? caller(text) : NULL;
	if (!value)
		return 0;
	pair = path_format("%s=%s", text, value);
	if (!pair || arrow_strings_add(&spec->process.env, pair) < 0)
		return arrow_no_memory(error);
	return 0;
}

/* What takes a line of a file. */
typedef int (*parse_line)(struct arrow_spec *spec, const char *line, arrow_variable *caller,
	struct arrow_error *error);

/*
 * Takes the lines of a file as Docker reads it: without empty ones and comments; one from Windows
 * ends in "\r\n".
 *   what: they are, for errors: "environment", of which each is a "variable"
 */
static int parse_file(struct arrow_spec *spec, const char *path, const char *what, const char *each,
	parse_line take, arrow_variable *caller, struct arrow_error *error)
{
	_cleanup_free_ char *data = NULL;
	char *line, *next;
	size_t size, number;
	int r;

	r = read_file(AT_FDCWD, path, FILE_MAX, &data, &size);
	if (r == -EFBIG)
		return arrow_fail(error, EFBIG, "the %s file %s is larger than %u MiB", what, path,
			FILE_MAX >> 20);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the %s file %s: %m", what, path);
	if (strlen(data) != size)
		return arrow_fail(error, EINVAL, "the %s file %s contains a NUL byte", what, path);

	line = data;
	if (strncmp(line, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
		line += 3;
	for (number = 1; line; line = next, number++) {
		size_t name;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		size = strlen(line);
		if (size > 0 && line[size - 1] == '\r')
			line[size - 1] = '\0';
		line += strspn(line, " \t\v\f\r");
		if (*line == '#' || *line == '\0')
			continue;
		name = strcspn(line, "=");
		if (strcspn(line, " \t\v\f\r") < name)
			r = arrow_fail(error, EINVAL, "the %s name '%.*s' contains whitespace",
				each, (int)name, line);
		else
			r = take(spec, line, caller, error);
		if (r < 0)
			return arrow_error_prefix(error, r, "line %zu of %s", number, path);
	}
	return 0;
}

int arrow_parse_env_file(struct arrow_spec *spec, const char *path, arrow_variable *caller,
	struct arrow_error *error)
{
	return parse_file(spec, path, "environment", "variable", arrow_parse_env, caller, error);
}

static int parse_limit(const char *text, uint64_t *value)
{
	char *end;

	if (strcmp(text, "-1") == 0 || strcmp(text, "unlimited") == 0) {
		*value = UINT64_MAX; /* RLIM_INFINITY of every Linux */
		return 0;
	}
	errno = 0;
	*value = strtoull(text, &end, 10);
	return isdigit((unsigned char)text[0]) && !*end && !errno ? 0 : -EINVAL;
}

/* NAME=SOFT[:HARD] */
int arrow_parse_ulimit(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	static const struct {
		const char *name;
		uint32_t resource;
	} names[] = {
		{"core", RLIMIT_CORE},
		{"cpu", RLIMIT_CPU},
		{"data", RLIMIT_DATA},
		{"fsize", RLIMIT_FSIZE},
		{"locks", RLIMIT_LOCKS},
		{"memlock", RLIMIT_MEMLOCK},
		{"msgqueue", RLIMIT_MSGQUEUE},
		{"nice", RLIMIT_NICE},
		{"nofile", RLIMIT_NOFILE},
		{"nproc", RLIMIT_NPROC},
		{"rss", RLIMIT_RSS},
		{"rtprio", RLIMIT_RTPRIO},
		{"rttime", RLIMIT_RTTIME},
		{"sigpending", RLIMIT_SIGPENDING},
		{"stack", RLIMIT_STACK},
	};
	_cleanup_free_ char *copy = strdup(text);
	struct arrow_ulimit *list, u = {0};
	char *soft, *hard;
	size_t i, n = sizeof(names) / sizeof(*names);

	if (!copy)
		return arrow_no_memory(error);
	soft = strchr(copy, '=');
	if (!soft)
		goto bad;
	*soft++ = '\0';
	hard = strchr(soft, ':');
	if (hard)
		*hard++ = '\0';
	for (i = 0; i < n; i++)
		if (strcmp(names[i].name, copy) == 0)
			break;
	if (i == n)
		return arrow_fail(error, EINVAL, "unknown limit '%s' in '%s'", copy, text);
	u.resource = names[i].resource;
	if (parse_limit(soft, &u.soft) < 0 || parse_limit(hard ? hard : soft, &u.hard) < 0)
		goto bad;
	if (u.soft > u.hard)
		return arrow_fail(
			error, EINVAL, "ulimit '%s': the soft limit is above the hard one", text);

	list = realloc(spec->process.ulimits, (spec->process.n_ulimits + 1) * sizeof(*list));
	if (!list)
		return arrow_no_memory(error);
	spec->process.ulimits = list;
	list[spec->process.n_ulimits++] = u;
	return 0;
bad:
	return arrow_fail(error, EINVAL,
		"invalid limit '%s': write NAME=SOFT or NAME=SOFT:HARD, as in nofile=1024", text);
}

static int parse_cap(const char *text, uint64_t *mask, struct arrow_error *error)
{
	/* By number, from linux/capability.h. */
	static const char *const names[] = {"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
		"FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
		"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK",
		"IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
		"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
		"MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
		"MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON",
		"BPF", "CHECKPOINT_RESTORE"};
	const char *name = strncasecmp(text, "CAP_", 4) == 0 ? text + 4 : text;

	_Static_assert(sizeof(names) / sizeof(*names) == CAP_LAST_CAP + 1, "a name for each");
	*mask = strcasecmp(text, "ALL") == 0 ? ALL_CAPS : 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcasecmp(name, names[i]) == 0)
			*mask = CAP(i);
	if (!*mask)
		return arrow_fail(error, EINVAL,
			"unknown capability '%s': capabilities(7) lists them, as in NET_ADMIN",
			text);
	return 0;
}

/* As Docker: the order on the command line does not matter; --cap-add ALL comes before drops. */
int arrow_parse_caps(struct arrow_spec *spec, const struct arrow_strings *add,
	const struct arrow_strings *drop, struct arrow_error *error)
{
	uint64_t mask, added = 0, dropped = 0;
	int r;

	for (size_t i = 0; i < add->n; i++) {
		r = parse_cap(add->v[i], &mask, error);
		if (r < 0)
			return arrow_error_prefix(error, r, "--cap-add");
		added |= mask;
	}
	for (size_t i = 0; i < drop->n; i++) {
		r = parse_cap(drop->v[i], &mask, error);
		if (r < 0)
			return arrow_error_prefix(error, r, "--cap-drop");
		dropped |= mask;
	}
	spec->process.caps =
		added == ALL_CAPS ? added & ~dropped : (spec->process.caps & ~dropped) | added;
	return 0;
}

static bool is_address(const char *text)
{
	uint8_t a[16];

	return inet_pton(AF_INET, text, a) == 1 || inet_pton(AF_INET6, text, a) == 1;
}

static bool is_host_name(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > 253)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
			return false;
	return true;
}

/* NAME:ADDRESS or NAME=ADDRESS */
int arrow_parse_host(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text), *line = NULL;
	char *address;

	if (!copy)
		return arrow_no_memory(error);
	address = copy + strcspn(copy, ":=");
	if (*address)
		*address++ = '\0';
	if (!is_host_name(copy) || !is_address(address))
		return arrow_fail(error, EINVAL,
			"invalid host '%s': write NAME:ADDRESS, as in db:10.0.0.2, with a name of up to 253 bytes",
			text);
	line = path_format("%s %s", address, copy);
	return line && arrow_strings_add(&spec->net.hosts, line) == 0 ? 0 : arrow_no_memory(error);
}

int arrow_parse_dns(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	if (!is_address(text))
		return arrow_fail(error, EINVAL,
			"invalid name server '%s': write an address, as in 10.0.0.1", text);
	return arrow_strings_add(&spec->net.dns, text) < 0 ? arrow_no_memory(error) : 0;
}

int arrow_parse_hostname(const char *text, struct arrow_error *error)
{
	/* HOST_NAME_MAX of Linux is 64. */
	if (!is_host_name(text) || strlen(text) > 64)
		return arrow_fail(error, EINVAL,
			"invalid host name '%s': use at most 64 letters, digits, '-' and '.'",
			text);
	return 0;
}

int arrow_parse_sysctl(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	size_t name =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-");

	if (name == 0 || text[name] != '=' || strstr(text, ".."))
		return arrow_fail(error, EINVAL,
			"invalid sysctl '%s': write NAME=VALUE, as in net.core.somaxconn=512",
			text);
	return arrow_strings_add(&spec->process.sysctls, text) < 0 ? arrow_no_memory(error) : 0;
}

int arrow_parse_label(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	if (text[0] == '=' || text[0] == '\0')
		return arrow_fail(error, EINVAL, "invalid label '%s': it has no name", text);
	return arrow_strings_add(&spec->labels, text) < 0 ? arrow_no_memory(error) : 0;
}

static int parse_label_line(struct arrow_spec *spec, const char *line, arrow_variable *caller,
	struct arrow_error *error)
{
	return arrow_parse_label(spec, line, error);
}

int arrow_parse_label_file(struct arrow_spec *spec, const char *path, struct arrow_error *error)
{
	return parse_file(spec, path, "label", "label", parse_label_line, NULL, error);
}

int arrow_parse_name(const char *text, struct arrow_error *error)
{
	size_t n = strlen(text);

	/* Docker's rule; the name is also a file name. */
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && (i == 0 || !strchr("_.-", text[i])))
			n = 0;
	if (n < 2 || n > 200)
		return arrow_fail(error, EINVAL,
			"invalid name '%s': use 2 to 200 letters, digits, '_', '.' and '-', beginning with a letter or digit",
			text);
	return 0;
}

int arrow_parse_restart(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	static const char *const names[] = {"no", "on-failure", "always", "unless-stopped"};
	const char *colon = strchr(text, ':');
	size_t size = colon ? (size_t)(colon - text) : strlen(text);
	unsigned long max = 0;
	char *end = NULL;

	if (*text == '\0') {
		spec->life.restart = ARROW_RESTART_NO;
		spec->life.restart_given = false;
		return 0;
	}
	for (uint32_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strlen(names[i]) != size || strncmp(names[i], text, size) != 0)
			continue;
		if (colon)
			max = strtoul(colon + 1, &end, 10);
		if (colon && (i != ARROW_RESTART_ON_FAILURE || !isdigit((unsigned char)colon[1]) ||
				     *end || max > UINT32_MAX))
			break;
		spec->life.restart = i;
		spec->life.restart_max = (uint32_t)max;
		spec->life.restart_given = true;
		return 0;
	}
	return arrow_fail(error, EINVAL,
		"invalid restart policy '%s': use no, on-failure[:N], always or unless-stopped, with N up to %u",
		text, UINT32_MAX);
}

int arrow_parse_stop_timeout(const char *text, uint32_t *seconds, struct arrow_error *error)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < -1 || n > INT32_MAX)
		return arrow_fail(error, EINVAL,
			"invalid time '%s': give seconds up to %d, or -1 to wait for ever", text,
			INT32_MAX);
	*seconds = n < 0 ? ARROW_FOREVER : (uint32_t)n;
	return 0;
}

int arrow_parse_duration(const char *text, uint64_t *ns, struct arrow_error *error)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}};
	const char *at = text;
	double sum = 0;

	if (strcmp(text, "0") == 0) {
		*ns = 0;
		return 0;
	}
	while (*at) {
		size_t i = 0, n = sizeof(units) / sizeof(*units);
		char *unit;
		double value = strtod(at, &unit);

		while (i < n && strncmp(unit, units[i].name, strlen(units[i].name)) != 0)
			i++;
		if (!isdigit((unsigned char)*at) || i == n)
			break;
		sum += value * units[i].ns;
		at = unit + strlen(units[i].name);
	}
	if (*at || at == text || !(sum <= 9e18))
		return arrow_fail(error, EINVAL,
			"invalid duration '%s': give numbers with units, as in 30s or 1h30m, up to 2500000h",
			text);
	*ns = (uint64_t)sum;
	return 0;
}
