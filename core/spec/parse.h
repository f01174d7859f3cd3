/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SPEC_PARSE_H
#define ARROW_CORE_SPEC_PARSE_H

#include "core/spec/spec.h"

/*
 * The values of options, with Docker's meaning (core/spec/parse.c). Each adds to the spec or sets a
 * part of it. Errors name the value and what is expected.
 */
int arrow_parse_size(const char *text, uint64_t *bytes, struct arrow_error *) ARROW_MUST_CHECK;

/* 0, as in Docker, is as if the option were not given: the default, or what the image says. */
int arrow_parse_memory(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_cpus(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
/* Microseconds of --cpu-period and --cpu-quota; 0 is as if it were not given, and so is a quota of
 * -1. */
int arrow_parse_cpu_period(const char *, uint32_t *period, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_cpu_quota(const char *, uint32_t *quota, struct arrow_error *) ARROW_MUST_CHECK;
/* What the two make of the number of CPUs. Errors: --cpus was given, too. */
int arrow_set_cpu_time(struct arrow_spec *, uint32_t quota, uint32_t period,
	struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_memory_swap(
	struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_cpu_shares(
	struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/* "": all CPUs. */
int arrow_parse_cpuset(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_pids(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_rate(struct arrow_spec *, enum arrow_rate_kind, const char *,
	struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_blkio_weight(
	struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_oom_score(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/* What values of several of these say together. */
int arrow_check_limits(const struct arrow_spec *, struct arrow_error *) ARROW_MUST_CHECK;

/* The value of a variable of the one who asks, or NULL. */
typedef const char *arrow_variable(const char *name);

/* "A=B" sets a variable, "A" takes over the caller's, if it has one. caller may be NULL. */
int arrow_parse_env(struct arrow_spec *, const char *text, arrow_variable *caller,
	struct arrow_error *) ARROW_MUST_CHECK;

/* A variable a line; empty lines, and those that begin with '#', are skipped. */
int arrow_parse_env_file(struct arrow_spec *, const char *path, arrow_variable *caller,
	struct arrow_error *) ARROW_MUST_CHECK;

/* Labels, one a line; otherwise as arrow_parse_env_file(). */
int arrow_parse_label_file(
	struct arrow_spec *, const char *path, struct arrow_error *) ARROW_MUST_CHECK;

/* Adds a copy. What there was no memory for is missing in it; the spec is released as ever. */
int arrow_spec_add_volume(struct arrow_spec *, const struct arrow_volume *like,
	struct arrow_error *) ARROW_MUST_CHECK;

/*
 * "type=volume,source=NAME,target=/b", "type=bind,source=/a,target=/b,readonly" or
 * "type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=1777", a line of CSV. Errors name what Docker has
 * and Arrow does not.
 */
int arrow_parse_mount(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/* Takes the next field of a line of CSV off it, without its quotes; NULL at the end. */
char *arrow_parse_next_field(char **rest);
int arrow_parse_volume(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/* "local" or "", which change nothing; the spec may be NULL. */
int arrow_parse_volume_driver(
	struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_tmpfs(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_ulimit(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_caps(struct arrow_spec *, const struct arrow_strings *add,
	const struct arrow_strings *drop, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_host(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_dns(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/*
 * A network as net_plan() has it, or "name=NET,ip=A,ip6=A,mac-address=MAC,alias=NAME", a line of
 * CSV, with what is chosen there. "" is as if the option were not given.
 */
int arrow_parse_network(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;

/* What is chosen for the first network twice, by options of their own and by --network. */
int arrow_check_networks(const struct arrow_spec *, struct arrow_error *) ARROW_MUST_CHECK;

/* An address of a family, 4 or 6, which may have a prefix; a unicast MAC. Errors name them. */
int arrow_parse_address(const char *text, uint8_t family, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_mac(const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_sysctl(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_name(const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_label(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_hostname(const char *text, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_timeout(const char *text, uint32_t *seconds, struct arrow_error *) ARROW_MUST_CHECK;

/* A count of failures. */
int arrow_parse_retries(const char *text, uint32_t *n, struct arrow_error *) ARROW_MUST_CHECK;

/* "INT", "SIGINT", "2", "SIGRTMIN+3". Errors name it. */
int arrow_parse_signal(const char *text, uint32_t *signal, struct arrow_error *) ARROW_MUST_CHECK;

/* "1h30m", "500ms", in nanoseconds. */
int arrow_parse_duration(const char *text, uint64_t *ns, struct arrow_error *) ARROW_MUST_CHECK;

/* "" is as if the option were not given. */
int arrow_parse_restart(struct arrow_spec *, const char *, struct arrow_error *) ARROW_MUST_CHECK;
int arrow_parse_stop_timeout(
	const char *text, uint32_t *seconds, struct arrow_error *) ARROW_MUST_CHECK;

#endif
