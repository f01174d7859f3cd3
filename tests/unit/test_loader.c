// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/channel.h"
#include "guest/job.h"
/* The loader has a fail() of its own. */
#pragma push_macro("fail")
#undef fail
#include "guest/process.h"
#include "guest/stream.h"
#include "guest/tty.h"
#pragma pop_macro("fail")
#include "guest/user.h"
#include "util/cleanup.h"

/* The parts of the loader that a host can run: decoding the job, users, frames. */

/* A generator of its own (xorshift), so that each run tests the same. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

struct bytes {
	uint8_t data[4096];
	size_t size;
};

static void add(struct bytes *b, uint32_t tag, const void *value, size_t length)
{
	assert_true(b->size + 8 + length <= sizeof(b->data));
	arrow_put32(b->data + b->size, tag);
	arrow_put32(b->data + b->size + 4, (uint32_t)length);
	memcpy(b->data + b->size + 8, value, length);
	b->size += 8 + length;
}

static void add_string(struct bytes *b, uint32_t tag, const char *s)
{
	add(b, tag, s, strlen(s));
}

/* parts: what follows struct arrow_job_mount, with its NULs */
static void add_mount(
	struct bytes *b, uint32_t kind, uint32_t flags, const char *parts, size_t parts_size)
{
	uint8_t value[256];

	arrow_put32(value, kind);
	arrow_put32(value + 4, flags);
	memcpy(value + 8, parts, parts_size);
	add(b, ARROW_JOB_MOUNT, value, 8 + parts_size);
}

#define ADD_MOUNT(b, kind, flags, parts) add_mount(b, kind, flags, parts, sizeof(parts) - 1)

static const uint8_t seed[32] = {1, 2, 3};

/* The least that is a job. */
static void make_small_job(struct bytes *b)
{
	b->size = 0;
	add_string(b, ARROW_JOB_ARG, "true");
	add(b, ARROW_JOB_SEED, seed, sizeof(seed));
	ADD_MOUNT(b, ARROW_MOUNT_ROOT, 0, "vda");
}

static void make_full_job(struct bytes *b)
{
	uint8_t n[24];

	b->size = 0;
	arrow_put32(n, ARROW_JOB_TTY | ARROW_JOB_STDIN);
	add(b, ARROW_JOB_FLAGS, n, 4);
	add_string(b, ARROW_JOB_ARG, "sh");
	add_string(b, ARROW_JOB_ENV, "PATH=/bin");
	add_string(b, ARROW_JOB_ARG, "");
	add_string(b, ARROW_JOB_ENV, "EMPTY=");
	add_string(b, ARROW_JOB_ARG, "-c");
	add_string(b, ARROW_JOB_CWD, "/srv");
	add_string(b, ARROW_JOB_USER, "bob:staff");
	add_string(b, ARROW_JOB_HOSTNAME, "box");
	add_string(b, ARROW_JOB_HOSTS, "10.0.0.1 db");
	add_string(b, ARROW_JOB_RESOLV, "nameserver 10.0.0.2\n");
	ADD_MOUNT(b, ARROW_MOUNT_SHARE, 1, "volumes/0\0/data\0");
	ADD_MOUNT(b, ARROW_MOUNT_ROOT, ARROW_ROOT_UNIFORM, "vda\0/\0");
	ADD_MOUNT(b, ARROW_MOUNT_TMPFS, 6, "\0/run\0size=1m,mode=700");
	ADD_MOUNT(b, ARROW_MOUNT_SHARE_FILE, 0, "volumes/f1\0/etc/conf");
	arrow_put32(n, 7);
	arrow_put32(n + 4, 0);
	arrow_put64(n + 8, 1024);
	arrow_put64(n + 16, UINT64_MAX);
	add(b, ARROW_JOB_RLIMIT, n, 24);
	arrow_put64(n, 0x21);
	add(b, ARROW_JOB_CAPS, n, 8);
	add_string(b, ARROW_JOB_SYSCTL, "kernel.shmmax=1");
	add_string(b, ARROW_JOB_GROUP, "wheel");
	add_string(b, ARROW_JOB_GROUP, "77");
	add(b, ARROW_JOB_SEED, seed, sizeof(seed));
	arrow_put64(n, 1700000000);
	arrow_put32(n + 8, 999999999);
	add(b, ARROW_JOB_CLOCK, n, 12);
	arrow_put16(n, 24);
	arrow_put16(n + 2, 80);
	add(b, ARROW_JOB_WINSIZE, n, 4);
	arrow_put64(n, 1u << 20);
	add(b, ARROW_JOB_SHM_SIZE, n, 8);
	add(b, ARROW_JOB_MACHINE_ID, seed, 16);
}

/* Decodes a copy of exactly the right size, so that a sanitizer sees each byte too far. */
static int decode(const uint8_t *data, size_t size, struct job *job, uint8_t **copy)
{
	const char *why = NULL;
	int r;

	*copy = malloc(size + 1);
	assert_non_null(*copy);
	memcpy(*copy, data, size);
	r = job_decode(*copy, size, job, &why);
	assert_true(r == 0 ? why == NULL : why != NULL);
	return r;
}

static int decode_and_drop(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = NULL;
	struct job job;
	int r = decode(data, size, &job, &copy);

	if (r == 0)
		job_release(&job);
	return r;
}

static void a_full_job_is_decoded(void **state)
{
	_cleanup_free_ uint8_t *copy = NULL;
	struct bytes b;
	struct job job;

	make_full_job(&b);
	assert_int_equal(decode(b.data, b.size, &job, &copy), 0);
	assert_int_equal(job.flags, ARROW_JOB_TTY | ARROW_JOB_STDIN);
	assert_string_equal(job.argv[0], "sh");
	assert_string_equal(job.argv[1], "");
	assert_string_equal(job.argv[2], "-c");
	assert_null(job.argv[3]);
	assert_string_equal(job.env[0], "PATH=/bin");
	assert_string_equal(job.env[1], "EMPTY=");
	assert_null(job.env[2]);
	assert_string_equal(job.cwd, "/srv");
	assert_string_equal(job.user, "bob:staff");
	assert_string_equal(job.hostname, "box");
	assert_string_equal(job.hosts[0], "10.0.0.1 db");
	assert_null(job.hosts[1]);
	assert_string_equal(job.resolv, "nameserver 10.0.0.2\n");
	assert_string_equal(job.root, "vda");
	assert_true(job.root_uniform);
	assert_int_equal(job.mount_count, 3);
	assert_string_equal(job.mounts[0].source, "volumes/0");
	assert_string_equal(job.mounts[0].target, "/data");
	assert_int_equal(job.mounts[0].flags, 1);
	assert_string_equal(job.mounts[1].options, "size=1m,mode=700");
	assert_string_equal(job.mounts[2].source, "volumes/f1");
	assert_string_equal(job.mounts[2].target, "/etc/conf");
	assert_string_equal(job.mounts[2].options, "");
	assert_int_equal(job.rlimit_count, 1);
	assert_int_equal(job.rlimits[0].resource, 7);
	assert_int_equal(job.rlimits[0].soft, 1024);
	assert_true(job.rlimits[0].hard == UINT64_MAX);
	assert_int_equal(job.caps, 0x21);
	assert_string_equal(job.sysctls[0], "kernel.shmmax=1");
	assert_string_equal(job.groups[0], "wheel");
	assert_string_equal(job.groups[1], "77");
	assert_null(job.groups[2]);
	assert_memory_equal(job.seed, seed, sizeof(seed));
	assert_int_equal(job.clock.seconds, 1700000000);
	assert_int_equal(job.clock.nanoseconds, 999999999);
	assert_int_equal(job.window.rows, 24);
	assert_int_equal(job.window.columns, 80);
	assert_int_equal(job.shm_size, 1 << 20);
	assert_true(job.has_machine_id);
	job_release(&job);
}

static void what_a_small_job_leaves_out_is_as_docker_has_it(void **state)
{
	_cleanup_free_ uint8_t *copy = NULL;
	struct bytes b;
	struct job job;
	uint8_t flags[4];

	make_small_job(&b);
	assert_int_equal(decode(b.data, b.size, &job, &copy), 0);
	assert_string_equal(job.cwd, "/");
	assert_string_equal(job.user, "");
	assert_null(job.hostname);
	assert_null(job.env[0]);
	assert_int_equal(job.caps, 0xa80425fb);
	assert_false(job.root_uniform);
	assert_false(job_outlives(&job));
	job_release(&job);
	free(STEAL(copy));

	arrow_put32(flags, ARROW_JOB_PRIVILEGED);
	add(&b, ARROW_JOB_FLAGS, flags, 4);
	assert_int_equal(decode(b.data, b.size, &job, &copy), 0);
	assert_true(job.caps == UINT64_MAX);
	job_release(&job);
}

/* Decodes the records of an EXEC, of which `copy` is to be freed. */
static int decode_exec(const struct bytes *b, struct job *job, uint8_t **copy)
{
	const char *why = NULL;
	int r;

	*copy = malloc(b->size + 1);
	assert_non_null(*copy);
	memcpy(*copy, b->data, b->size);
	r = job_decode_exec(*copy, b->size, job, &why);
	assert_true(r == 0 ? why == NULL : why != NULL);
	return r;
}

static void an_exec_says_only_what_differs_from_the_program(void **state)
{
	_cleanup_free_ uint8_t *copy = NULL;
	struct bytes b = {.size = 0};
	struct job job;

	assert_int_equal(decode_exec(&b, &job, &copy), -EINVAL);
	free(STEAL(copy));
	add_string(&b, ARROW_JOB_ARG, "ls");
	add_string(&b, ARROW_JOB_ARG, "-l");
	assert_int_equal(decode_exec(&b, &job, &copy), 0);
	assert_string_equal(job.argv[1], "-l");
	assert_null(job.cwd);
	assert_null(job.user);
	assert_false(job.has_caps);
	assert_int_equal(job.caps, 0);
	job_release(&job);
	free(STEAL(copy));

	add(&b, ARROW_JOB_CAPS, "\1\0\0\0\0\0\0\0", 8);
	add_string(&b, ARROW_JOB_CWD, "/srv");
	add_string(&b, ARROW_JOB_USER, "bob");
	assert_int_equal(decode_exec(&b, &job, &copy), 0);
	assert_true(job.has_caps);
	assert_int_equal(job.caps, 1);
	assert_string_equal(job.cwd, "/srv");
	assert_string_equal(job.user, "bob");
	job_release(&job);
	free(STEAL(copy));

	/* A record about the Arrow has no place in it. */
	ADD_MOUNT(&b, ARROW_MOUNT_TMPFS, 0, "\0/run");
	assert_int_equal(decode_exec(&b, &job, &copy), -EINVAL);
}

static void an_exec_has_the_environment_of_the_program_and_its_own(void **state)
{
	char path[] = "PATH=/bin", a[] = "A=1", aa[] = "AA=2", a2[] = "A=3",
	     b[] = "B=", b2[] = "B=4";
	char *program[] = {path, a, aa, NULL}, *own[] = {a2, b, b2, NULL};
	_cleanup_free_ char **env = job_merge_env(program, own);

	assert_non_null(env);
	assert_string_equal(env[0], "PATH=/bin");
	assert_string_equal(env[1], "AA=2");
	assert_string_equal(env[2], "A=3");
	assert_string_equal(env[3], "B=4");
	assert_null(env[4]);
}

static void a_job_cut_off_anywhere_is_refused(void **state)
{
	struct bytes b;

	make_full_job(&b);
	for (size_t size = 0; size < b.size; size++) {
		size_t at = 0;

		while (at < size)
			at += 8 + arrow_get32(b.data + at + 4);
		/* Cut between records, what is left may still be a whole job. */
		if (at != size || size == 0)
			assert_int_equal(decode_and_drop(b.data, size), -EINVAL);
	}
}

static void what_a_job_must_have_is_asked_for(void **state)
{
	struct bytes b = {.size = 0};

	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
	add_string(&b, ARROW_JOB_ARG, "true");
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
	add(&b, ARROW_JOB_SEED, seed, sizeof(seed));
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
	ADD_MOUNT(&b, ARROW_MOUNT_ROOT, 0, "vda");
	assert_int_equal(decode_and_drop(b.data, b.size), 0);
	ADD_MOUNT(&b, ARROW_MOUNT_ROOT, 0, "vdb");
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
}

static void a_new_identity_brings_no_program(void **state)
{
	struct bytes b = {.size = 0};
	uint8_t n[4], copy[512];
	const char *why;
	struct job job;

	arrow_put32(n, 10);
	add_string(&b, ARROW_JOB_ID, "0123");
	add_string(&b, ARROW_JOB_NAME, "fleet");
	add_string(&b, ARROW_JOB_HOSTNAME, "box");
	add(&b, ARROW_JOB_RESTORE_SIGNAL, n, 4);
	memcpy(copy, b.data, b.size);
	assert_int_equal(job_decode_identity(copy, b.size, &job, &why), -EINVAL); /* no seed */
	add(&b, ARROW_JOB_SEED, seed, sizeof(seed));
	memcpy(copy, b.data, b.size);
	assert_int_equal(job_decode_identity(copy, b.size, &job, &why), 0);
	assert_string_equal(job.id, "0123");
	assert_string_equal(job.name, "fleet");
	assert_string_equal(job.hostname, "box");
	assert_int_equal(job.restore_signal, 10);
	assert_memory_equal(job.seed, seed, sizeof(seed));
	job_release(&job);
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL); /* it is no job */

	add_string(&b, ARROW_JOB_ARG, "true");
	memcpy(copy, b.data, b.size);
	assert_int_equal(job_decode_identity(copy, b.size, &job, &why), -EINVAL);
}

static void each_malformed_record_is_refused(void **state)
{
	static const struct {
		uint32_t tag;
		const char *value;
		size_t length;
	} bad[] = {
		{0, "", 0},
		{ARROW_JOB_CPU_MAX + 1, "", 0},
		{ARROW_RECORD_LAST + 1, "", 0},
		{ARROW_JOB_GROUP, "a\0b", 3},
		{ARROW_JOB_PIDS_MAX, "\0\0\0\0", 4},
		{ARROW_JOB_RESTORE_SIGNAL, "\x41\0\0\0", 4},
		{ARROW_JOB_CPU_MAX, "\0\0\0\0", 4},
		{UINT32_MAX, "", 0},
		{ARROW_JOB_FLAGS, "123", 3},
		{ARROW_JOB_FLAGS, "12345", 5},
		{ARROW_JOB_SEED, "short", 5},
		{ARROW_JOB_RLIMIT, "12345678", 8},
		{ARROW_JOB_CLOCK, "\0\0\0\0\0\0\0\0\xff\xff\xff\xff", 12},
		{ARROW_JOB_CLOCK, "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 12},
		{ARROW_JOB_ARG, "a\0b", 3},
		{ARROW_JOB_ENV, "NOVALUE", 7},
		{ARROW_JOB_ENV, "=x", 2},
		{ARROW_JOB_ENV, "", 0},
		{ARROW_JOB_CWD, "", 0},
		{ARROW_JOB_CWD, "here", 4},
		{ARROW_JOB_MOUNT, "", 0},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0", 7},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0", 8},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0tag", 11},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0tag\0", 12},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0tag\0rel\0", 16},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0\0/v\0", 12},
		{ARROW_JOB_MOUNT, "\2\0\0\0\0\0\0\0t\0/v\0o\0more", 19},
		{ARROW_JOB_MOUNT, "\4\0\0\0\0\0\0\0\0rel", 12},
		{ARROW_JOB_MOUNT, "\x63\0\0\0\0\0\0\0t\0/v\0", 13},
		{ARROW_JOB_MOUNT, "\1\0\0\0\0\0\0\0", 8},
	};
	struct bytes b;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_small_job(&b);
		add(&b, bad[i].tag, bad[i].value, bad[i].length);
		if (decode_and_drop(b.data, b.size) != -EINVAL)
			fail_msg("malformed record %zu was taken", i);
	}
	b.size = 0;
	add_string(&b, ARROW_JOB_ARG, "true");
	add(&b, ARROW_JOB_SEED, seed, sizeof(seed));
	ADD_MOUNT(&b, ARROW_MOUNT_ROOT, 0, "../mem");
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
}

static void a_length_beyond_the_job_is_refused(void **state)
{
	static const uint32_t lengths[] = {5, 4096, INT32_MAX, UINT32_MAX - 7, UINT32_MAX};
	struct bytes b;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		make_small_job(&b);
		add_string(&b, ARROW_JOB_ARG, "last");
		arrow_put32(b.data + b.size - 8, lengths[i]);
		assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
	}
}

/* A job and an EXEC of the largest size have room, and not one byte more. */
static void records_reach_their_limits(void **state)
{
	static const size_t most[] = {ARROW_EXEC_MAX, ARROW_JOB_MAX};

	for (size_t i = 0; i < 2; i++) {
		struct records records = {0};
		size_t size;

		while (records_room(&records, most[i], &size))
			records.size += size;
		assert_int_equal(records.size, most[i]);
		assert_true(records.overflow);
		free(records.data);
	}
}

static void a_record_that_may_come_once_is_refused_twice(void **state)
{
	struct bytes b;

	make_small_job(&b);
	add_string(&b, ARROW_JOB_USER, "a");
	assert_int_equal(decode_and_drop(b.data, b.size), 0);
	add_string(&b, ARROW_JOB_USER, "a");
	assert_int_equal(decode_and_drop(b.data, b.size), -EINVAL);
}

static void assert_inside(const char *s, const uint8_t *data, size_t size)
{
	const uint8_t *p = (const uint8_t *)s;

	assert_true(p >= data && p <= data + size);
	assert_non_null(memchr(p, '\0', (size_t)(data + size + 1 - p)));
}

static void mutated_jobs_do_no_harm(void **state)
{
	uint32_t random = 20240229;
	unsigned int taken = 0, refused = 0;

	for (int round = 0; round < 20000; round++) {
		_cleanup_free_ uint8_t *copy = NULL;
		struct bytes b;
		struct job job;
		size_t size;

		make_full_job(&b);
		for (uint32_t n = 1 + next_random(&random) % 4; n > 0; n--)
			b.data[next_random(&random) % b.size] = (uint8_t)next_random(&random);
		size = next_random(&random) % 8 ? b.size : next_random(&random) % b.size;
		if (decode(b.data, size, &job, &copy) < 0) {
			refused++;
			continue;
		}
		taken++;
		for (char **s = job.argv; *s; s++)
			assert_inside(*s, copy, size);
		for (char **s = job.env; *s; s++) {
			assert_inside(*s, copy, size);
			assert_non_null(strchr(*s, '='));
		}
		for (size_t i = 0; i < job.mount_count; i++) {
			assert_inside(job.mounts[i].source, copy, size);
			assert_inside(job.mounts[i].target, copy, size);
			assert_inside(job.mounts[i].options, copy, size);
			assert_int_equal(job.mounts[i].target[0], '/');
		}
		assert_inside(job.root, copy, size);
		job_release(&job);
	}
	/* Both ways were gone, so the mutations are neither all harmless nor all fatal. */
	assert_true(taken > 1000);
	assert_true(refused > 1000);
}

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "\n"
			     "# comment\n"
			     "broken:x\n"
			     "noid:x:abc:1::/:\n"
			     "bob:x:1000:1001:Bob, the builder:/home/bob:/bin/sh\n"
			     "42:x:7:8::/seven:\n"
			     "last:x:9:9::/home/last:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "staff:x:50:alice,bob\n"
			    "bobs:x:51:bobby,xbob\n"
			    "bob:x:1001:\n"
			    "wheel:x:10:bob";

static void users_are_found_as_docker_finds_them(void **state)
{
	static const struct {
		const char *spec;
		uint32_t uid, gid;
		size_t groups;
		const char *home;
	} good[] = {
		{"", 0, 0, 1, "/root"},
		{"root", 0, 0, 1, "/root"},
		{"0", 0, 0, 1, "/root"},
		{"bob", 1000, 1001, 3, "/home/bob"},
		{"1000", 1000, 1001, 3, "/home/bob"},
		{"bob:", 1000, 1001, 3, "/home/bob"},
		{"bob:staff", 1000, 50, 1, "/home/bob"},
		{"bob:77", 1000, 77, 1, "/home/bob"},
		{":staff", 0, 50, 1, "/root"},
		{"1234", 1234, 0, 1, "/"},
		{"1234:5678", 1234, 5678, 1, "/"},
		{"42", 42, 0, 1, "/"}, /* a number is an id, though a name looks like it */
		{"2147483647", 2147483647, 0, 1, "/"},
		{"last", 9, 9, 1, "/home/last"},
	};
	struct user user;
	char why[128];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (user_find(passwd, group, good[i].spec, &user, why, sizeof(why)) < 0)
			fail_msg("\"%s\": %s", good[i].spec, why);
		assert_int_equal(user.uid, good[i].uid);
		assert_int_equal(user.gid, good[i].gid);
		assert_int_equal(user.group_count, good[i].groups);
		assert_int_equal(user.groups[0], good[i].gid);
		assert_string_equal(user.home, good[i].home);
	}
	assert_int_equal(user_find(passwd, group, "bob", &user, why, sizeof(why)), 0);
	assert_int_equal(user.groups[1], 50);
	assert_int_equal(user.groups[2], 10);
	assert_int_equal(user_find("", "", "", &user, why, sizeof(why)), 0);
	assert_string_equal(user.home, "/root");
}

static void groups_are_added_to_a_user(void **state)
{
	char *more[] = {
		(char *)"wheel", (char *)"77", (char *)"bob", (char *)"1001", (char *)"root", NULL};
	char *unknown[] = {(char *)"eve", NULL};
	char *too_large[] = {(char *)"2147483648", NULL}, *none[] = {NULL};
	static const uint32_t all[] = {1001, 50, 10, 77, 0};
	struct user user;
	char why[128];

	assert_int_equal(user_find(passwd, group, "bob", &user, why, sizeof(why)), 0);
	assert_int_equal(user_join(group, none, &user, why, sizeof(why)), 0);
	assert_int_equal(user.group_count, 3);
	/* Each once. */
	assert_int_equal(user_join(group, more, &user, why, sizeof(why)), 0);
	assert_int_equal(user.gid, 1001);
	assert_int_equal(user.group_count, 5);
	assert_memory_equal(user.groups, all, sizeof(all));

	assert_int_equal(user_join(group, unknown, &user, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "unable to find group eve: no matching entries in group file");
	assert_int_equal(user_join(group, too_large, &user, why, sizeof(why)), -EINVAL);
	for (uint32_t gid = 5000; user.group_count < USER_GROUPS_MAX; gid++) {
		char text[16], *one[] = {text, NULL};

		snprintf(text, sizeof(text), "%u", gid);
		assert_int_equal(user_join(group, one, &user, why, sizeof(why)), 0);
	}
	more[0] = (char *)"4000";
	assert_int_equal(user_join(group, more, &user, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "the user is in more than 256 groups");
}

static void users_that_are_not_there_are_named(void **state)
{
	static const char *const bad[] = {"eve", "bob:eve", "2147483648", "99999999999999999999",
		"bob:4294967296", "-1", "noid", "broken", "bo", "bobb", "1 "};
	struct user user;
	char why[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (user_find(passwd, group, bad[i], &user, why, sizeof(why)) != -EINVAL)
			fail_msg("\"%s\" was found", bad[i]);
	}
	assert_int_equal(user_find(passwd, group, "eve", &user, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "unable to find user eve: no matching entries in passwd file");
	assert_int_equal(user_find(passwd, group, "bob:eve", &user, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "unable to find group eve: no matching entries in group file");
}

static void damaged_user_files_do_no_harm(void **state)
{
	static const char *const specs[] = {"bob", "1000", "bob:staff", "", "root:0"};
	uint32_t random = 99;
	unsigned int found = 0;
	char why[128];

	for (int round = 0; round < 5000; round++) {
		_cleanup_free_ char *p = strdup(passwd);
		_cleanup_free_ char *g = strdup(group);
		struct user user;

		for (int i = 0; i < 3; i++) {
			p[next_random(&random) % (sizeof(passwd) - 1)] = (char)next_random(&random);
			g[next_random(&random) % (sizeof(group) - 1)] = (char)next_random(&random);
		}
		if (user_find(p, g, specs[round % 5], &user, why, sizeof(why)) < 0)
			continue;
		found++;
		assert_true(user.group_count >= 1 && user.group_count <= USER_GROUPS_MAX);
		assert_int_equal(user.groups[0], user.gid);
		assert_int_equal(user.home[0] != '\0', 1);
	}
	assert_true(found > 1000);
}

static void a_user_in_too_many_groups_keeps_the_first(void **state)
{
	_cleanup_free_ char *many = malloc(400 * 32);
	struct user user;
	size_t used = 0;
	char why[128];

	for (int i = 0; i < 400; i++)
		used += (size_t)sprintf(many + used, "g%d:x:%d:bob\n", i, 2000 + i);
	assert_int_equal(user_find(passwd, many, "bob", &user, why, sizeof(why)), 0);
	assert_int_equal(user.group_count, USER_GROUPS_MAX);
}

/* Takes all payloads into one buffer and counts the frames. */
struct catcher {
	uint8_t data[1 << 20];
	size_t size;
	unsigned int frames;
	uint32_t room; /* how much it takes at once */
	uint32_t random;
};

static uint8_t *catch_room(void *arg, const struct arrow_frame *frame, size_t *size)
{
	struct catcher *c = arg;

	*size = 1 + next_random(&c->random) % c->room;
	return c->data + c->size;
}

static void catch_took(void *arg, const struct arrow_frame *frame, size_t size)
{
	struct catcher *c = arg;

	assert_true(size <= frame->length);
	c->size += size;
}

static int catch_end(void *arg, const struct arrow_frame *frame)
{
	struct catcher *c = arg;

	c->frames++;
	return frame->type == ARROW_DONE ? -ECANCELED : 0;
}

static void open_channel(struct channel *channel, int *peer)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	channel->fd = fds[0];
	channel->readable = channel->writable = true;
	*peer = fds[1];
}

static void frames_arrive_however_they_are_cut(void **state)
{
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
	_cleanup_free_ struct catcher *got = calloc(1, sizeof(*got));
	_cleanup_free_ uint8_t *wire = malloc(1 << 20);
	_cleanup_free_ uint8_t *want = malloc(1 << 20);
	struct channel_sink sink = {catch_room, catch_took, catch_end, got};
	size_t size = 0, payload = 0, at = 0;
	uint32_t random = 7;
	int peer;

	for (int i = 0; i < 200; i++) {
		uint32_t length = next_random(&random) % (i % 20 ? 300 : ARROW_FRAME_MAX + 1);

		arrow_frame_encode(wire + size, (struct arrow_frame){4, ARROW_DATA, length});
		size += ARROW_FRAME_HEADER;
		for (uint32_t k = 0; k < length; k++)
			want[payload++] = wire[size++] = (uint8_t)next_random(&random);
	}

	got->room = 5000;
	got->random = 3;
	open_channel(channel, &peer);
	while (at < size) {
		size_t piece = 1 + next_random(&random) % 3000;

		piece = piece < size - at ? piece : size - at;
		assert_int_equal(write(peer, wire + at, piece), piece);
		at += piece;
		channel->readable = true;
		while (channel->readable)
			assert_true(channel_receive(channel, &sink, 100) >= 0);
	}
	assert_int_equal(got->frames, 200);
	assert_int_equal(got->size, payload);
	assert_memory_equal(got->data, want, payload);
	close(peer);
	close(channel->fd);
}

/* What stream.c has of the rest of the loader. */
int tty_eof_byte(int master)
{
	return -1;
}

void tty_resize(int master, uint16_t rows, uint16_t columns)
{
}

/* A host need not wait for STARTED: the loader takes frames while it waits for the time, too. */
static void stdin_that_is_there_before_the_program_is_kept(void **state)
{
	_cleanup_free_ struct loader *loader = calloc(1, sizeof(*loader));
	struct process *p = &loader->processes[PROGRAM - 1];
	struct channel_sink sink = stream_sink(loader);
	uint8_t wire[2 * ARROW_FRAME_HEADER + 5];
	int peer, pipe_fds[2];
	char got[16];

	open_channel(&loader->channel, &peer);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	arrow_frame_encode(wire, (struct arrow_frame){ARROW_STREAM(PROGRAM, 0), ARROW_DATA, 5});
	memcpy(wire + ARROW_FRAME_HEADER, "early", 5);
	arrow_frame_encode(wire + ARROW_FRAME_HEADER + 5,
		(struct arrow_frame){ARROW_STREAM(PROGRAM, 0), ARROW_EOF, 0});

	/* Without the flag STDIN nobody takes it; with it, it waits. */
	assert_int_equal(write(peer, wire, sizeof(wire)), sizeof(wire));
	assert_true(channel_receive(&loader->channel, &sink, 1000) > 0);
	assert_false(p->in.ended);
	assert_int_equal(stream_expect(loader), 0);
	loader->channel.readable = true;
	assert_int_equal(write(peer, wire, sizeof(wire)), sizeof(wire));
	assert_true(channel_receive(&loader->channel, &sink, 1000) > 0);
	assert_true(p->in.ended);

	/* As start_process() leaves it. */
	p->tty = p->slave = p->out[0].fd = p->out[1].fd = -1;
	p->in.fd = pipe_fds[1];
	p->in.writable = p->used = true;
	loader->top = PROGRAM;
	stream_pump(loader);
	assert_int_equal(read(pipe_fds[0], got, sizeof(got)), 5);
	assert_memory_equal(got, "early", 5);
	assert_int_equal(read(pipe_fds[0], got, sizeof(got)), 0);
	close(pipe_fds[0]);
	close(peer);
	close(loader->channel.fd);
}

static void a_frame_that_is_too_long_ends_the_channel(void **state)
{
	static const uint32_t lengths[] = {ARROW_FRAME_MAX + 1, INT32_MAX, UINT32_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
		_cleanup_free_ struct catcher *got = calloc(1, sizeof(*got));
		struct channel_sink sink = {catch_room, catch_took, catch_end, got};
		uint8_t header[ARROW_FRAME_HEADER];
		int peer;

		got->room = 100;
		got->random = 3;
		open_channel(channel, &peer);
		arrow_frame_encode(header, (struct arrow_frame){4, ARROW_DATA, lengths[i]});
		assert_int_equal(write(peer, header, sizeof(header)), sizeof(header));
		assert_int_equal(channel_receive(channel, &sink, 1000), -EPROTO);
		assert_int_equal(got->frames, 0);
		close(peer);
		close(channel->fd);
	}
}

static void what_the_sink_refuses_ends_the_receiving(void **state)
{
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
	_cleanup_free_ struct catcher *got = calloc(1, sizeof(*got));
	struct channel_sink sink = {catch_room, catch_took, catch_end, got};
	uint8_t header[ARROW_FRAME_HEADER];
	int peer;

	open_channel(channel, &peer);
	arrow_frame_encode(header, (struct arrow_frame){0, ARROW_DONE, 0});
	assert_int_equal(write(peer, header, sizeof(header)), sizeof(header));
	assert_int_equal(channel_receive(channel, &sink, 1000), -ECANCELED);
	close(peer);
	close(channel->fd);
}

/* Reads frames from the peer's end; returns how many there were of a type. */
static unsigned int count_frames(int peer, uint16_t type, size_t *bytes)
{
	static uint8_t data[1 << 20];
	unsigned int count = 0;
	ssize_t n = read(peer, data, sizeof(data));
	size_t size = n > 0 ? (size_t)n : 0;

	*bytes = 0;
	for (size_t at = 0; at < size;) {
		struct arrow_frame f;

		assert_int_equal(arrow_frame_decode(data + at, &f), 0);
		at += ARROW_FRAME_HEADER + f.length;
		assert_true(at <= size);
		if (f.type == type) {
			count++;
			*bytes += f.length;
		}
	}
	return count;
}

static void control_frames_have_room_when_data_has_none(void **state)
{
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
	_cleanup_close_ int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t data = 0, bytes;
	int peer, size = 1 << 20, r;

	open_channel(channel, &peer);
	assert_int_equal(setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while ((r = channel_put_from(channel, 5, zero, ARROW_WINDOW)) > 0)
		data += (size_t)r;
	assert_int_equal(r, -ENOBUFS);
	assert_true(data >= CHANNEL_PAYLOAD);

	for (int i = 0; i < 100; i++)
		assert_int_equal(channel_put(channel, 0, ARROW_NOTE, "sixteen bytes...", 16), 0);
	while (!channel_idle(channel) && channel->writable)
		assert_true(channel_send(channel) > 0);
	assert_true(channel_idle(channel));
	/* With the queue empty there is room again. */
	assert_true(channel_put_from(channel, 5, zero, 10) == 10);
	assert_true(channel_send(channel) > 0);

	assert_int_equal(count_frames(peer, ARROW_NOTE, &bytes), 100);
	close(peer);
	close(channel->fd);
}

static void frames_that_can_wait_leave_room_for_the_programs_end(void **state)
{
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
	uint8_t text[ARROW_TEXT_MAX] = {0};
	unsigned int offered = 0;
	int peer;

	open_channel(channel, &peer);
	while (channel_offer(channel, 0, ARROW_FAILED, text, sizeof(text)) == 0)
		offered++;
	assert_true(offered > 50);
	for (int i = 0; i < 3; i++)
		assert_int_equal(channel_put(channel, 0, ARROW_NOTE, text, sizeof(text)), 0);
	close(peer);
	close(channel->fd);
}

static void a_queue_that_is_sent_in_parts_stays_whole(void **state)
{
	_cleanup_free_ struct channel *channel = calloc(1, sizeof(*channel));
	_cleanup_free_ struct channel *back = calloc(1, sizeof(*back));
	_cleanup_free_ struct catcher *got = calloc(1, sizeof(*got));
	struct channel_sink sink = {catch_room, catch_took, catch_end, got};
	_cleanup_close_ int random_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int peer, size = 4096;
	size_t put = 0;
	unsigned int frames = 0;

	got->room = 40000;
	got->random = 5;
	open_channel(channel, &peer);
	assert_int_equal(setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	back->fd = peer;
	for (int round = 0; round < 60; round++) {
		int n = channel_put_from(channel, 5, random_fd, 1 + (size_t)round * 157);

		if (n > 0) {
			put += (size_t)n;
			frames++;
		}
		channel->writable = true;
		assert_true(channel_send(channel) >= 0);
		back->readable = true;
		assert_true(channel_receive(back, &sink, 3000) >= 0);
	}
	while (!channel_idle(channel) || back->readable) {
		channel->writable = back->readable = true;
		assert_true(channel_send(channel) >= 0);
		assert_true(channel_receive(back, &sink, 100000) >= 0);
	}
	assert_int_equal(got->frames, frames);
	assert_int_equal(got->size, put);
	close(peer);
	close(channel->fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_job_is_decoded),
		cmocka_unit_test(what_a_small_job_leaves_out_is_as_docker_has_it),
		cmocka_unit_test(an_exec_says_only_what_differs_from_the_program),
		cmocka_unit_test(an_exec_has_the_environment_of_the_program_and_its_own),
		cmocka_unit_test(a_job_cut_off_anywhere_is_refused),
		cmocka_unit_test(what_a_job_must_have_is_asked_for),
		cmocka_unit_test(a_new_identity_brings_no_program),
		cmocka_unit_test(each_malformed_record_is_refused),
		cmocka_unit_test(a_length_beyond_the_job_is_refused),
		cmocka_unit_test(records_reach_their_limits),
		cmocka_unit_test(a_record_that_may_come_once_is_refused_twice),
		cmocka_unit_test(mutated_jobs_do_no_harm),
		cmocka_unit_test(users_are_found_as_docker_finds_them),
		cmocka_unit_test(groups_are_added_to_a_user),
		cmocka_unit_test(users_that_are_not_there_are_named),
		cmocka_unit_test(damaged_user_files_do_no_harm),
		cmocka_unit_test(a_user_in_too_many_groups_keeps_the_first),
		cmocka_unit_test(frames_arrive_however_they_are_cut),
		cmocka_unit_test(stdin_that_is_there_before_the_program_is_kept),
		cmocka_unit_test(a_frame_that_is_too_long_ends_the_channel),
		cmocka_unit_test(what_the_sink_refuses_ends_the_receiving),
		cmocka_unit_test(control_frames_have_room_when_data_has_none),
		cmocka_unit_test(frames_that_can_wait_leave_room_for_the_programs_end),
		cmocka_unit_test(a_queue_that_is_sent_in_parts_stays_whole),
	};

	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
