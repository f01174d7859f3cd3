// SPDX-License-Identifier: Apache-2.0
/* Values of the options for limits, with Docker's meaning and, where it has one, its words. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec/parse.h"
#include "core/spec/cpuset.h"
#include "util/cleanup.h"

#define SHARES_MIN 2u
#define SHARES_MAX 262144u
#define WEIGHT_MIN 10u
#define WEIGHT_MAX 1000u
#define PERIOD_MIN 1000u /* microseconds, as Linux and Docker have them */
#define PERIOD_MAX 1000000u
#define PERIOD_DEFAULT 100000u
#define QUOTA_MIN 1000u
#define PIDS_MAX 4194304 /* that Linux can have */

/* A whole number, and nothing behind it. Returns 0 or -EINVAL. */
static int parse_number(const char *text, long long *n)
{
	char *end;

	errno = 0;
	*n = strtoll(text, &end, 10);
	return errno || end == text || *end ? -EINVAL : 0;
}

int arrow_parse_memory_swap(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	uint64_t bytes = 0;
	int r;

	if (strcmp(text, "-1") == 0) {
		spec->limits.memory_swap = -1;
		spec->limits.memory_swap_given = true;
		return 0;
	}
	r = arrow_parse_size(text, &bytes, error);
	if (r < 0)
		return r;
	if (bytes > INT64_MAX)
		return arrow_fail(error, EINVAL, "invalid size '%s': too large", text);
	/* 0 is as if it were not given. */
	spec->limits.memory_swap = (int64_t)bytes;
	spec->limits.memory_swap_given = bytes != 0;
	return 0;
}

int arrow_parse_cpu_shares(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || n < 0)
		return arrow_fail(error, EINVAL,
			"invalid number of CPU shares '%s': write a number from %u to %u", text,
			SHARES_MIN, SHARES_MAX);
	if (n && n < SHARES_MIN)
		return arrow_fail(
			error, EINVAL, "the minimum allowed cpu-shares is %u", SHARES_MIN);
	if (n > SHARES_MAX)
		return arrow_fail(
			error, EINVAL, "the maximum allowed cpu-shares is %u", SHARES_MAX);
	spec->limits.cpu_shares = (uint32_t)n;
	return 0;
}

int arrow_parse_cpu_period(const char *text, uint32_t *period, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || (n != 0 && (n < PERIOD_MIN || n > PERIOD_MAX)))
		return arrow_fail(error, EINVAL,
			"invalid CPU period '%s': write microseconds, from %u to %u", text,
			PERIOD_MIN, PERIOD_MAX);
	*period = (uint32_t)n;
	return 0;
}

int arrow_parse_cpu_quota(const char *text, uint32_t *quota, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || n < -1 || (n > 0 && n < QUOTA_MIN) || n > UINT32_MAX)
		return arrow_fail(error, EINVAL,
			"invalid CPU quota '%s': write microseconds, %u or more, or -1 for no limit",
			text, QUOTA_MIN);
	*quota = n > 0 ? (uint32_t)n : 0;
	return 0;
}

int arrow_set_cpu_time(
	struct arrow_spec *spec, uint32_t quota, uint32_t period, struct arrow_error *error)
{
	uint64_t millicpus = (uint64_t)quota * 1000 / (period ? period : PERIOD_DEFAULT);

	if ((quota || period) && spec->limits.cpus_given)
		return arrow_fail(error, EINVAL,
			"conflicting options: --cpus and --cpu-quota or --cpu-period");
	if (!quota)
		return 0;
	if (millicpus > ARROW_VCPUS_MAX * 1000)
		return arrow_fail(error, EINVAL, "--cpu-quota is the time of more than %u CPUs",
			ARROW_VCPUS_MAX);
	spec->limits.millicpus = millicpus ? (uint32_t)millicpus : 1;
	spec->limits.cpus_given = true;
	return 0;
}

int arrow_parse_cpuset(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	cpu_set_t set, have;

	free(STEAL(spec->limits.cpuset_cpus));
	if (*text == '\0')
		return 0;
	if (arrow_cpuset_parse(text, &set) < 0)
		return arrow_fail(error, EINVAL,
			"invalid value %s for cpuset cpus: write numbers and ranges, as in 0-2,5",
			text);
	CPU_ZERO(&have);
	if (sched_getaffinity(0, sizeof(have), &have) < 0)
		return arrow_fail(error, errno, "cannot find out which CPUs there are: %m");
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set) && !CPU_ISSET(i, &have))
			return arrow_fail(error, EINVAL,
				"requested CPUs are not available: %s: there is no CPU %d here",
				text, i);
	spec->limits.cpuset_cpus = strdup(text);
	return spec->limits.cpuset_cpus ? 0 : arrow_no_memory(error);
}

int arrow_parse_pids(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || n > PIDS_MAX)
		return arrow_fail(error, EINVAL,
			"invalid number of processes '%s': write a number up to %d, or -1 for no limit",
			text, PIDS_MAX);
	spec->limits.pids_max = n > 0 ? (uint32_t)n : 0;
	return 0;
}

int arrow_parse_rate(struct arrow_spec *spec, enum arrow_rate_kind kind, const char *text,
	struct arrow_error *error)
{
	bool bytes = kind == ARROW_RATE_READ_BPS || kind == ARROW_RATE_WRITE_BPS;
	_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;
	const char *colon = strrchr(text, ':');
	struct arrow_rate *more;
	uint64_t value = 0;
	long long n = 0;

	if (!colon || colon == text)
		return arrow_fail(error, EINVAL,
			"bad format for path: %s; write DEVICE:RATE, as in /dev/sda:1mb", text);
	if (strncmp(text, "/dev/", 5) != 0)
		return arrow_fail(error, EINVAL, "bad format for device path: %s", text);
	if (bytes ? arrow_parse_size(colon + 1, &value, &why) < 0
		  : parse_number(colon + 1, &n) < 0 || n < 0)
		value = 0;
	else if (!bytes)
		value = (uint64_t)n;
	if (value == 0)
		return arrow_fail(error, EINVAL,
			"invalid rate for device: %s; the rate must be a positive number%s", text,
			bytes ? ", followed by kb, mb or gb" : "");

	more = realloc(spec->limits.rates, (spec->limits.n_rates + 1) * sizeof(*more));
	if (!more)
		return arrow_no_memory(error);
	spec->limits.rates = more;
	more[spec->limits.n_rates] = (struct arrow_rate){.kind = (uint32_t)kind,
		.device = strndup(text, (size_t)(colon - text)),
		.value = value};
	if (!more[spec->limits.n_rates].device)
		return arrow_no_memory(error);
	spec->limits.n_rates++;
	return 0;
}

int arrow_parse_blkio_weight(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || (n && (n < WEIGHT_MIN || n > WEIGHT_MAX)))
		return arrow_fail(error, EINVAL, "range of blkio weight is from %u to %u, not '%s'",
			WEIGHT_MIN, WEIGHT_MAX, text);
	spec->limits.blkio_weight = (uint32_t)n;
	return 0;
}

int arrow_parse_oom_score(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	long long n;

	if (parse_number(text, &n) < 0 || n < -1000 || n > 1000)
		return arrow_fail(error, EINVAL,
			"invalid value %s, range for oom score adj is [-1000, 1000]", text);
	spec->limits.oom_score_adj = (int32_t)n;
	return 0;
}

int arrow_check_limits(const struct arrow_spec *spec, struct arrow_error *error)
{
	if (spec->limits.memory_swap_given && spec->limits.memory_swap > 0 &&
		(uint64_t)spec->limits.memory_swap < spec->limits.memory)
		return arrow_fail(error, EINVAL,
			"minimum memoryswap limit should be larger than memory limit: give --memory-swap at least what -m has");
	return 0;
}
