// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/spec/parse.h"
#include "core/spec/spec_json.h"
#include "core/control/channel.h"
#include "core/instance/instance.h"
#include "core/job/job.h"
#include "guest/job.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"512", 512}, {"64m", 64u << 20}, {"1G", 1u << 30}, {"2kb", 2048},
		{"3MiB", 3u << 20}, {"5b", 5}, {"1.5g", 3ull << 29}, {"1.5 GiB", 3ull << 29},
		{".5k", 512}, {"1.9", 1}, {"1p", 1ull << 50}, {"18446744073709551615", UINT64_MAX}};
	static const char *const bad[] = {"", "m", "-1", "1.5.0g", "1e3", ".", "64mm", "64q",
		"0x10", " 1", "99999999999999999999", "18446744073709551615t"};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	uint64_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(arrow_parse_size(good[i].text, &n, &e), 0);
		assert_int_equal(n, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(arrow_parse_size(bad[i], &n, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i]));
		arrow_error_clear(&e);
	}
}

static void cpus(void **state)
{
	static const char *const bad[] = {"", "-1", "nan", "inf", "65", "1x"};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_cpus(&spec, "1.5", &e), 0);
	assert_int_equal(spec.limits.millicpus, 1500);
	assert_true(spec.limits.cpus_given);
	assert_int_equal(arrow_parse_cpus(&spec, "0.0001", &e), 0);
	assert_int_equal(spec.limits.millicpus, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(arrow_parse_cpus(&spec, bad[i], &e), -EINVAL);
		arrow_error_clear(&e);
	}
	arrow_spec_release(&spec);
}

/* Takes a value, and refuses another one by an error that has the words. */
#define REACHES(call_good, call_bad, words)                                                        \
	do {                                                                                       \
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;                           \
		if ((call_good) != 0)                                                              \
			fail_msg("%s: %s", #call_good, e.text);                                    \
		assert_int_equal(call_bad, -EINVAL);                                               \
		assert_non_null(strstr(e.text, words));                                            \
	} while (0)

/* A text of n bytes that begins with another one. Owned by the caller. */
static char *long_text(const char *begin, size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'a', n);
	memcpy(text, begin, strlen(begin));
	text[n] = '\0';
	return text;
}

/* Of each value the largest that is taken, and the next one: docs/limits.md. */
static void values_reach_their_limits(void **state)
{
	_cleanup_free_ char *name200 = long_text("", 200), *name201 = long_text("", 201);
	_cleanup_free_ char *host64 = long_text("", 64), *host65 = long_text("", 65);
	_cleanup_free_ char *entry253 = long_text("", 253 + 8), *entry254 = long_text("", 254 + 8);
	struct arrow_spec spec;
	uint32_t n;
	uint64_t ns;

	memcpy(entry253 + 253, ":1.2.3.4", sizeof(":1.2.3.4"));
	memcpy(entry254 + 254, ":1.2.3.4", sizeof(":1.2.3.4"));
	arrow_spec_init(&spec);
	REACHES(arrow_parse_cpus(&spec, "64", &e), arrow_parse_cpus(&spec, "64.001", &e),
		"0.001 to 64");
	assert_int_equal(spec.limits.millicpus, 64000);
	REACHES(arrow_parse_name(name200, &e), arrow_parse_name(name201, &e), "2 to 200");
	REACHES(arrow_parse_name("ab", &e), arrow_parse_name("a", &e), "2 to 200");
	REACHES(arrow_parse_hostname(host64, &e), arrow_parse_hostname(host65, &e), "at most 64");
	REACHES(arrow_parse_host(&spec, entry253, &e), arrow_parse_host(&spec, entry254, &e),
		"253 bytes");
	REACHES(arrow_parse_timeout("2147483", &n, &e), arrow_parse_timeout("2147484", &n, &e),
		"up to 2147483");
	REACHES(arrow_parse_stop_timeout("2147483647", &n, &e),
		arrow_parse_stop_timeout("2147483648", &n, &e), "up to 2147483647");
	REACHES(arrow_parse_retries("2147483647", &n, &e),
		arrow_parse_retries("2147483648", &n, &e), "up to 2147483647");
	assert_int_equal(n, 2147483647);
	REACHES(arrow_parse_retries("0", &n, &e), arrow_parse_retries("-1", &n, &e),
		"number of retries '-1'");
	REACHES(arrow_parse_duration("2500000h", &ns, &e),
		arrow_parse_duration("2500001h", &ns, &e), "up to 2500000h");
	assert_int_equal(ns, 9000000000000000000);
	REACHES(arrow_parse_restart(&spec, "on-failure:4294967295", &e),
		arrow_parse_restart(&spec, "on-failure:4294967296", &e), "up to 4294967295");
	assert_int_equal(spec.life.restart_max, UINT32_MAX);
	arrow_spec_release(&spec);
}

/* As in Docker, 0 and "" are as if the option were not given, also behind one that was. */
static void not_given(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;
	uint64_t ns = 1;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_memory(&spec, "1g", &e), 0);
	assert_true(spec.limits.memory_given);
	assert_int_equal(arrow_parse_memory(&spec, "0", &e), 0);
	assert_int_equal(spec.limits.memory, ARROW_DEFAULT_MEMORY);
	assert_false(spec.limits.memory_given);
	assert_int_equal(arrow_parse_memory(&spec, "", &e), -EINVAL);
	arrow_error_clear(&e);
	assert_int_equal(arrow_parse_cpus(&spec, "2", &e), 0);
	assert_int_equal(arrow_parse_cpus(&spec, "0.0", &e), 0);
	assert_int_equal(spec.limits.millicpus, ARROW_DEFAULT_MILLICPUS);
	assert_false(spec.limits.cpus_given);
	assert_int_equal(arrow_parse_restart(&spec, "always", &e), 0);
	assert_int_equal(arrow_parse_restart(&spec, "", &e), 0);
	assert_int_equal(spec.life.restart, ARROW_RESTART_NO);
	assert_false(spec.life.restart_given);
	assert_int_equal(arrow_parse_cpuset(&spec, "0", &e), 0);
	assert_int_equal(arrow_parse_cpuset(&spec, "", &e), 0);
	assert_null(spec.limits.cpuset_cpus);
	assert_int_equal(arrow_parse_duration("0", &ns, &e), 0);
	assert_int_equal(ns, 0);
	arrow_spec_release(&spec);
}

/* A file for a parser to read, gone with its end. */
struct text_file {
	char path[32];
	int fd;
};

static struct text_file text_file_make(void)
{
	struct text_file f = {.path = "/tmp/arrow-test-XXXXXX"};

	f.fd = mkstemp(f.path);
	assert_true(f.fd >= 0);
	return f;
}

static void text_file_remove(struct text_file *f)
{
	close(f->fd);
	unlink(f->path);
}
#define _cleanup_text_file_ __attribute__((cleanup(text_file_remove)))

static void expect_lines(const struct arrow_strings *list, const char *const *lines)
{
	size_t n = 0;

	for (; lines[n]; n++) {
		assert_true(n < list->n);
		assert_string_equal(list->v[n], lines[n]);
	}
	assert_int_equal(list->n, n);
}

/* Files from Windows, as Docker reads them. */
static void env_files(void **state)
{
	_cleanup_text_file_ struct text_file f = text_file_make();
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_true(dprintf(f.fd, "\xef\xbb\xbf# comment\r\nA=1\r\n\r\n  B=two words \r\nC=") > 0);
	assert_int_equal(arrow_parse_env_file(&spec, f.path, NULL, &e), 0);
	expect_lines(&spec.process.env, (const char *const[]){"A=1", "B=two words ", "C=", NULL});
	assert_true(dprintf(f.fd, "\nA B=1\n") > 0);
	assert_int_equal(arrow_parse_env_file(&spec, f.path, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.text, "line 6 of /tmp/arrow-test-"));
	assert_non_null(strstr(e.text, "'A B' contains whitespace"));
	arrow_error_clear(&e);
	/* The largest file, of empty lines, and one byte more. */
	assert_int_equal(ftruncate(f.fd, 0), 0);
	for (int i = 0; i < 256; i++) {
		static char lines[65536];

		memset(lines, '\n', sizeof(lines));
		assert_int_equal(pwrite(f.fd, lines, sizeof(lines), i * 65536), 65536);
	}
	assert_int_equal(arrow_parse_env_file(&spec, f.path, NULL, &e), 0);
	assert_int_equal(pwrite(f.fd, "\n", 1, 16 << 20), 1);
	assert_int_equal(arrow_parse_env_file(&spec, f.path, NULL, &e), -EFBIG);
	assert_non_null(strstr(e.text, "larger than 16 MiB"));
	arrow_spec_release(&spec);
}

static void label_files(void **state)
{
	_cleanup_text_file_ struct text_file f = text_file_make();
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_true(dprintf(f.fd, "# comment\r\nA=1\r\n\n  b.c=two words\nempty=") > 0);
	assert_int_equal(arrow_parse_label_file(&spec, f.path, &e), 0);
	expect_lines(&spec.labels, (const char *const[]){"A=1", "b.c=two words", "empty=", NULL});
	assert_true(dprintf(f.fd, "\n=x\n") > 0);
	assert_int_equal(arrow_parse_label_file(&spec, f.path, &e), -EINVAL);
	assert_non_null(strstr(e.text, "line 6 of /tmp/arrow-test-"));
	arrow_error_clear(&e);
	assert_int_equal(unlink(f.path), 0);
	assert_int_equal(arrow_parse_label_file(&spec, f.path, &e), -ENOENT);
	assert_non_null(strstr(e.text, "cannot read the label file"));
	arrow_spec_release(&spec);
}

static void mounts(void **state)
{
	/* A mount that is refused, and the word of it that the error names. */
	static const char *const bad[][2] = {
		{"", "KEY=VALUE"},
		{"type=bind,src=/a", "target"},
		{"type=bind,src=/a,dst=b", "target"},
		{"type=bind,src=/a,dst=/", "target"},
		{"type=bind,dst=/b", "source"},
		{"type=bind,src=a,dst=/b", "source"},
		{"type=volume,src=a,dst=/b,tmpfs-mode=7", "tmpfs-mode"},
		{"src=a,dst=/b,volume-driver=nfs", "'nfs'"},
		{"dst=/b,volume-subpath=c", "source"},
		{"type=npipe,dst=/b", "type=npipe"},
		{"type=tmpfs,dst=/t,src=/a", "source"},
		{"type=tmpfs,dst=/t,tmpfs-size=x", "'x'"},
		{"type=tmpfs,dst=/t,tmpfs-mode=9", "tmpfs-mode"},
		{"type=bind,src=/a,dst=/b,tmpfs-size=1m", "tmpfs-size"},
		{"type=bind,src=/a,dst=/b,ro=maybe", "'maybe'"},
		{"type=bind,src=/a,dst=/b,bind-propagation=shared", "bind-propagation=shared"},
		{"type=bind,src=/a,dst=/b,volume-nocopy", "volume-"},
		{"type=bind,src=/a,dst=/b,colour=red", "'colour'"},
		{"type=bind,src=/a,dst", "'dst'"},
	};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_mount(&spec, "type=bind,source=/a,target=/b,readonly", &e), 0);
	assert_int_equal(arrow_parse_mount(&spec,
				 "type=bind,\"src=./c,\"\"d\"\"\",dst=/e,ro=false,"
				 "consistency=cached,bind-propagation=rprivate",
				 &e),
		0);
	assert_int_equal(spec.files.n_volumes, 2);
	assert_string_equal(spec.files.volumes[0].host, "/a");
	assert_string_equal(spec.files.volumes[0].guest, "/b");
	assert_true(spec.files.volumes[0].read_only);
	assert_string_equal(spec.files.volumes[1].host, "./c,\"d\"");
	assert_string_equal(spec.files.volumes[1].guest, "/e");
	assert_false(spec.files.volumes[1].read_only);
	assert_int_equal(arrow_parse_mount(&spec,
				 "dst=/t,type=tmpfs,tmpfs-size=1.5m,tmpfs-mode=1770,ro=1", &e),
		0);
	assert_int_equal(arrow_parse_mount(&spec, "type=tmpfs,destination=/u", &e), 0);
	assert_int_equal(spec.files.n_tmpfs, 2);
	assert_string_equal(spec.files.tmpfs[0].guest, "/t");
	assert_string_equal(spec.files.tmpfs[0].options, "size=1572864,mode=1770");
	assert_int_equal(spec.files.tmpfs[0].flags, MS_RDONLY | MS_NOEXEC | MS_NOSUID | MS_NODEV);
	assert_string_equal(spec.files.tmpfs[1].options, "");
	assert_int_equal(spec.files.tmpfs[1].flags, MS_NOEXEC | MS_NOSUID | MS_NODEV);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (arrow_parse_mount(&spec, bad[i][0], &e) != -EINVAL ||
			!strstr(e.text + strlen("invalid mount ''") + strlen(bad[i][0]), bad[i][1]))
			fail_msg("%s: %s", bad[i][0], e.text ? e.text : "taken");
		arrow_error_clear(&e);
	}
	assert_int_equal(spec.files.n_volumes + spec.files.n_tmpfs, 4);
	/* Of volumes by name; what is wrong with a name is found when it is made. */
	assert_int_equal(
		arrow_parse_mount(&spec,
			"src=n,dst=/v,ro,volume-nocopy,volume-subpath=a/b,volume-driver=local,"
			"volume-label=k=v,volume-opt=o=bind",
			&e),
		0);
	assert_int_equal(arrow_parse_mount(&spec, "type=volume,dst=/w", &e), 0);
	assert_string_equal(spec.files.volumes[2].name, "n");
	assert_null(spec.files.volumes[2].host);
	assert_true(spec.files.volumes[2].read_only && spec.files.volumes[2].no_copy);
	assert_string_equal(spec.files.volumes[2].subpath, "a/b");
	assert_string_equal(spec.files.volumes[2].labels.v[0], "k=v");
	assert_string_equal(spec.files.volumes[2].options.v[0], "o=bind");
	assert_string_equal(spec.files.volumes[3].name, "");
	arrow_spec_release(&spec);
}

static void volumes_and_tmpfs(void **state)
{
	static const char *const bad[] = {"", "x", ":", "/", "/a:", "/a:b", ":/b", "/a:/",
		"/a:/b:x", "/a:/b:nocopy", "/a:/b:rshared", "n:/b:slave"};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_volume(&spec, "./a:/b", &e), 0);
	assert_int_equal(arrow_parse_volume(&spec, "/c:/d:ro", &e), 0);
	assert_string_equal(spec.files.volumes[0].host, "./a");
	assert_string_equal(spec.files.volumes[1].guest, "/d");
	assert_false(spec.files.volumes[0].read_only);
	assert_true(spec.files.volumes[1].read_only);
	assert_true(spec.files.volumes[1].make);
	assert_int_equal(arrow_parse_volume(&spec, "a:/b:nocopy,Z", &e), 0);
	assert_int_equal(arrow_parse_volume(&spec, "/b/c", &e), 0);
	assert_string_equal(spec.files.volumes[2].name, "a");
	assert_null(spec.files.volumes[2].host);
	assert_true(spec.files.volumes[2].no_copy && !spec.files.volumes[2].make);
	assert_string_equal(spec.files.volumes[3].name, "");
	assert_string_equal(spec.files.volumes[3].guest, "/b/c");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(arrow_parse_volume(&spec, bad[i], &e), -EINVAL);
		arrow_error_clear(&e);
	}

	assert_int_equal(arrow_parse_tmpfs(&spec, "/t:size=1m,exec,ro,mode=700", &e), 0);
	assert_string_equal(spec.files.tmpfs[0].options, "size=1m,mode=700");
	assert_int_equal(spec.files.tmpfs[0].flags, MS_RDONLY | MS_NOSUID | MS_NODEV);
	assert_int_equal(arrow_parse_tmpfs(&spec, "/t:user_xattr", &e), -EINVAL);
	arrow_spec_release(&spec);
}

static void networks(void **state)
{
	/* A network that is refused, and the word of it that the error names. */
	static const char *const bad[][2] = {
		{"name=", "name requires a value"},
		{"ip=10.1.0.2", "name is missing"},
		{"name=a,name=b", "name is given twice"},
		{"name=a,ip=10.1.0.2,ip=10.1.0.3", "ip is given twice"},
		{"name=a,ip6=fd00::2,ip6=fd00::3", "ip6 is given twice"},
		{"name=a,ip=fd00::2", "IPv4 address 'fd00::2'"},
		{"name=a,ip=10.1.0", "IPv4 address '10.1.0'"},
		{"name=a,ip6=10.1.0.2", "IPv6 address '10.1.0.2'"},
		{"name=a,mac-address=03:00:00:00:00:01", "MAC address '03:"},
		{"name=a,alias=b c", "alias 'b c'"},
		{"name=a,alias", "alias requires a value"},
		{"name=a,colour=red", "unknown key 'colour'"},
		{"Name=a", "unknown key 'Name'"},
		{"name=a,", "unknown key ''"},
		{"name=a,driver-opt=b=c", "driver-opt is not supported"},
		{"name=a,gw-priority=1", "gw-priority is not supported"},
	};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct net_endpoint chosen;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_network(&spec, "", &e), 0);
	assert_int_equal(arrow_parse_network(&spec, "one", &e), 0);
	assert_int_equal(arrow_parse_network(&spec, "ns:/run/netns/a=b", &e), 0);
	assert_int_equal(arrow_parse_network(&spec, "name=bridge:br0,ip=10.1.0.2/24", &e), 0);
	assert_int_equal(
		arrow_parse_network(&spec,
			"alias=b,name=two,\"ip6=fd00::2\",mac-address=02:00:00:00:00:01,alias=c.d",
			&e),
		0);
	assert_int_equal(spec.net.names.n, 4);
	assert_string_equal(spec.net.names.v[1], "ns:/run/netns/a=b");
	assert_string_equal(spec.net.names.v[2], "bridge:br0");
	chosen = arrow_spec_endpoint(&spec, 2);
	assert_string_equal(chosen.ip, "10.1.0.2/24");
	assert_null(chosen.ip6);
	chosen = arrow_spec_endpoint(&spec, 3);
	assert_null(chosen.ip);
	assert_string_equal(chosen.ip6, "fd00::2");
	assert_string_equal(chosen.mac, "02:00:00:00:00:01");
	assert_string_equal(chosen.aliases[0], "b");
	assert_string_equal(chosen.aliases[1], "c.d");
	assert_null(chosen.aliases[2]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (arrow_parse_network(&spec, bad[i][0], &e) != -EINVAL ||
			!strstr(e.text + strlen("invalid network ''") + strlen(bad[i][0]),
				bad[i][1]))
			fail_msg("%s: %s", bad[i][0], e.text ? e.text : "taken");
		arrow_error_clear(&e);
	}
	assert_int_equal(spec.net.names.n, 4);

	/* Options of their own are for the first network. */
	spec.net.ip = strdup("10.2.0.2");
	assert_string_equal(arrow_spec_endpoint(&spec, 0).ip, "10.2.0.2");
	assert_string_equal(arrow_spec_endpoint(&spec, 2).ip, "10.1.0.2/24");
	assert_int_equal(arrow_check_networks(&spec, &e), 0);
	assert_int_equal(
		arrow_spec_add_endpoint(&spec, "one", &(struct net_endpoint){.ip6 = "fd00::9"}), 0);
	assert_int_equal(arrow_check_networks(&spec, &e), 0);
	assert_string_equal(arrow_spec_endpoint(&spec, 0).ip, "10.2.0.2");
	assert_string_equal(arrow_spec_endpoint(&spec, 0).ip6, "fd00::9");
	arrow_spec_remove_endpoint(&spec, "one");
	assert_null(arrow_spec_endpoint(&spec, 0).ip6);
	assert_int_equal(
		arrow_spec_add_endpoint(&spec, "one", &(struct net_endpoint){.ip = "10.2.0.3"}), 0);
	assert_int_equal(arrow_check_networks(&spec, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--ip and ip="));
	arrow_spec_release(&spec);
}

static void networks_are_stored(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec, stored;
	struct net_endpoint chosen;
	json_t *json;

	arrow_spec_init(&spec);
	arrow_spec_init(&stored);
	assert_int_equal(arrow_parse_network(&spec, "one", &e), 0);
	assert_int_equal(arrow_parse_network(&spec, "name=two,ip=10.1.0.2,alias=b", &e), 0);
	json = arrow_spec_to_json(&spec);
	assert_int_equal(arrow_spec_from_json(&stored, json, &e), 0);
	json_decref(json);
	assert_int_equal(stored.net.names.n, 2);
	chosen = arrow_spec_endpoint(&stored, 1);
	assert_string_equal(chosen.ip, "10.1.0.2");
	assert_null(chosen.mac);
	assert_string_equal(chosen.aliases[0], "b");
	assert_null(chosen.aliases[1]);
	arrow_spec_release(&stored);

	/* As it was stored before. */
	arrow_spec_init(&stored);
	json = json_loads("{\"networks\": [\"one\", \"two\"], \"ip\": \"10.1.0.2\"}", 0, NULL);
	assert_int_equal(arrow_spec_from_json(&stored, json, &e), 0);
	json_decref(json);
	assert_string_equal(arrow_spec_endpoint(&stored, 0).ip, "10.1.0.2");
	assert_null(arrow_spec_endpoint(&stored, 1).ip);
	arrow_spec_release(&stored);
	arrow_spec_release(&spec);
}

static void capabilities(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_strings add = {0}, drop = {0};
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(spec.process.caps, 0xa80425fb); /* what `docker run` gives */
	assert_int_equal(arrow_strings_add(&drop, "all"), 0);
	assert_int_equal(arrow_strings_add(&add, "cap_net_admin"), 0);
	assert_int_equal(arrow_parse_caps(&spec, &add, &drop, &e), 0);
	assert_int_equal(spec.process.caps, 1u << CAP_NET_ADMIN);
	arrow_strings_release(&drop);
	drop = (struct arrow_strings){0};
	assert_int_equal(arrow_strings_add(&add, "ALL"), 0);
	assert_int_equal(arrow_strings_add(&drop, "SYS_ADMIN"), 0);
	assert_int_equal(arrow_parse_caps(&spec, &add, &drop, &e), 0);
	assert_int_equal(
		spec.process.caps, ((1ull << (CAP_LAST_CAP + 1)) - 1) & ~(1ull << CAP_SYS_ADMIN));
	assert_int_equal(arrow_strings_add(&add, "CAP_FLY"), 0);
	assert_int_equal(arrow_parse_caps(&spec, &add, &drop, &e), -EINVAL);
	assert_non_null(strstr(e.text, "CAP_FLY"));
	arrow_strings_release(&add);
	arrow_strings_release(&drop);
	arrow_spec_release(&spec);
}

static void names_hosts_limits(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_parse_name("web-1.a_b", &e), 0);
	assert_int_equal(arrow_parse_name("../x", &e), -EINVAL);
	arrow_error_clear(&e);
	assert_int_equal(arrow_parse_name("a", &e), -EINVAL);
	arrow_error_clear(&e);
	assert_int_equal(arrow_parse_host(&spec, "db:fd00::1", &e), 0);
	assert_string_equal(spec.net.hosts.v[0], "fd00::1 db");
	assert_int_equal(arrow_parse_host(&spec, "db:1.2.3", &e), -EINVAL);
	arrow_error_clear(&e);
	assert_int_equal(arrow_parse_sysctl(&spec, "net/ipv4/x=1", &e), 0);
	assert_int_equal(arrow_parse_sysctl(&spec, "../../etc/x=1", &e), -EINVAL);
	arrow_error_clear(&e);
	assert_int_equal(arrow_parse_ulimit(&spec, "nofile=10:unlimited", &e), 0);
	assert_int_equal(spec.process.ulimits[0].resource, RLIMIT_NOFILE);
	assert_int_equal(spec.process.ulimits[0].hard, UINT64_MAX);
	assert_int_equal(arrow_parse_ulimit(&spec, "nofile=2:1", &e), -EINVAL);
	arrow_spec_release(&spec);
}

/* What the host encodes, the loader decodes. */
static void a_job_arrives_whole(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	const bool files[] = {false, true};
	struct arrow_job_context context = {
		.id = ID, .entrypoint = "/bin/prog", .rows = 40, .columns = 132, .files = files};
	struct arrow_spec spec;
	struct arrow_job job;
	struct job decoded;
	const char *why = NULL;

	arrow_spec_init(&spec);
	spec.process.tty = true;
	spec.limits.millicpus = 500;
	spec.source.rootfs = strdup("/nowhere");
	assert_int_equal(arrow_strings_add(&spec.process.args, ""), 0);
	assert_int_equal(arrow_strings_add(&spec.process.args, "two words"), 0);
	assert_int_equal(arrow_parse_env(&spec, "PATH=/only", NULL, &e), 0);
	assert_int_equal(arrow_parse_env(&spec, "A=1", NULL, &e), 0);
	assert_int_equal(arrow_parse_env(&spec, "A=2", NULL, &e), 0);
	assert_int_equal(arrow_parse_volume(&spec, "/h:/deep/er:ro", &e), 0);
	assert_int_equal(arrow_parse_volume(&spec, "/h2:/deep", &e), 0);
	assert_int_equal(arrow_parse_tmpfs(&spec, "/t:size=1m", &e), 0);

	assert_int_equal(arrow_job_encode(&job, &spec, &context, &e), 0);
	assert_int_equal(arrow_job_refresh(&job), 0);
	job.data = realloc(job.data, job.size + 1);
	assert_int_equal(job_decode(job.data, job.size, &decoded, &why), 0);

	assert_string_equal(decoded.argv[0], "/bin/prog");
	assert_string_equal(decoded.argv[1], "");
	assert_string_equal(decoded.argv[2], "two words");
	assert_null(decoded.argv[3]);
	assert_string_equal(decoded.env[0], "PATH=/only");
	assert_string_equal(decoded.env[1], "HOSTNAME=001122334455");
	assert_string_equal(decoded.env[3], "A=2");
	assert_null(decoded.env[4]);
	assert_string_equal(decoded.hostname, "001122334455");
	assert_int_equal(decoded.flags, ARROW_JOB_TTY);
	assert_int_equal(decoded.window.rows, 40);
	assert_int_equal(decoded.cpu_max, 500);
	assert_int_equal(decoded.machine_id[1], 0x11);
	assert_true(decoded.clock.seconds > 1700000000u);
	assert_string_equal(decoded.root, "vda");
	/* Shallow mounts come first. */
	assert_int_equal(decoded.mount_count, 3);
	assert_string_equal(decoded.mounts[2].target, "/deep/er");
	assert_int_equal(decoded.mounts[2].flags, MS_RDONLY);
	job_release(&decoded);
	arrow_job_release(&job);
	arrow_spec_release(&spec);
}

static int encode(const struct arrow_spec *spec, size_t *size, struct arrow_error *e)
{
	const struct arrow_job_context context = {.id = ID};
	struct arrow_job job;
	int r = arrow_job_encode(&job, spec, &context, e);

	if (r == 0) {
		assert_int_equal(arrow_job_refresh(&job), 0);
		*size = job.size;
		arrow_job_release(&job);
	}
	return r;
}

/* What execve of Linux takes is taken, with a variable or argument as long as it may be. */
static void arguments_and_environment_reach_their_limits(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *longest = long_text("A=", 131071), *longer = long_text("A=", 131072);
	struct arrow_spec spec;
	size_t size, n, before = 0;
	char *last;
	int r;

	arrow_spec_init(&spec);
	spec.source.rootfs = strdup("/nowhere");
	assert_int_equal(arrow_strings_add(&spec.process.args, longest), 0);
	assert_int_equal(encode(&spec, &size, &e), 0);
	/* Whatever PATH and HOSTNAME take of it, 2 MiB without 8 KiB is the most in all. */
	for (n = 1; (r = encode(&spec, &size, &e)) == 0; n++) {
		assert_true(n < 100);
		before = size;
		assert_int_equal(arrow_strings_add(&spec.process.args, longest), 0);
	}
	assert_int_equal(n, 15 + 1);
	assert_int_equal(r, -E2BIG);
	assert_int_equal(e.status, 126);
	assert_non_null(strstr(e.text, "2088960 bytes together"));
	arrow_error_clear(&e);
	assert_true(before > 15u * 131072u);
	/* The last one is cut until it fits, to the byte: it fits with `n`, not with `more`. */
	last = spec.process.args.v[15];
	n = 1;
	for (size_t more = 131071; more - n > 1;) {
		size_t half = (n + more) / 2;

		memset(last, 'a', half);
		last[half] = '\0';
		if (encode(&spec, &size, &e) == 0)
			n = half;
		else
			more = half;
		arrow_error_clear(&e);
	}
	/* All strings with their NULs and pointers: PATH and HOSTNAME are counted, too. */
	assert_in_range(15u * 131080u + n + 9, 2088960 - 200, 2088960 - 50);
	arrow_spec_release(&spec);

	arrow_spec_init(&spec);
	spec.source.rootfs = strdup("/nowhere");
	assert_int_equal(arrow_strings_add(&spec.process.args, "prog"), 0);
	assert_int_equal(arrow_strings_add(&spec.process.env, longest), 0);
	assert_int_equal(encode(&spec, &size, &e), 0);
	free(spec.process.env.v[0]);
	spec.process.env.v[0] = STEAL(longer);
	assert_int_equal(encode(&spec, &size, &e), -E2BIG);
	assert_non_null(strstr(e.text, "131073 bytes is longer than Linux allows (131072)"));
	arrow_spec_release(&spec);
}

/* Options that have no limit of their own, as many as a job can hold. */
static void a_job_reaches_its_limit(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *value = long_text("net.x=", (1 << 20) - 8);
	struct arrow_spec spec;
	size_t size = 0, n = 0;
	int r = 0;

	arrow_spec_init(&spec);
	spec.source.rootfs = strdup("/nowhere");
	assert_int_equal(arrow_strings_add(&spec.process.args, "prog"), 0);
	while (n < 100 && (r = encode(&spec, &size, &e)) == 0) {
		assert_true(size <= ARROW_JOB_MAX);
		assert_int_equal(arrow_parse_sysctl(&spec, value, &e), 0);
		n++;
	}
	assert_int_equal(n, 16);
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(e.text, "16 MiB"));
	/* A few bytes below. */
	spec.process.sysctls.v[15][(1 << 20) - 8 - 6000] = '\0';
	arrow_error_clear(&e);
	assert_int_equal(encode(&spec, &size, &e), 0);
	assert_true(size <= ARROW_JOB_MAX && size > ARROW_JOB_MAX - 8192);
	arrow_spec_release(&spec);
}

static void two_jobs_never_have_the_same_seed(void **state)
{
	struct arrow_job a = {0}, b = {0};

	assert_int_equal(arrow_job_refresh(&a), 0);
	assert_int_equal(arrow_job_refresh(&b), 0);
	assert_int_equal(a.size, b.size);
	assert_memory_not_equal(a.data, b.data, 40);
	arrow_job_release(&a);
	arrow_job_release(&b);
}

static void frames_survive_any_cut(void **state)
{
	struct channel a, b;
	struct arrow_frame f;
	const uint8_t *p;
	uint8_t big[ARROW_FRAME_MAX];
	int s[2], got = 0;

	memset(big, 7, sizeof(big));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(channel_init(&a, s[0]), 0);
	assert_int_equal(channel_init(&b, s[1]), 0);

	/* More than both sockets and buffers hold at once, in frames of odd sizes. */
	for (int i = 0; i < 500; i++) {
		size_t n = (size_t)(i * 977) % (ARROW_FRAME_MAX + 1);

		while (channel_send(&a, (uint16_t)i, ARROW_DATA, big, n) == -ENOBUFS) {
			assert_int_equal(channel_flush(&a), 0);
			assert_int_equal(channel_fill(&b), 0);
			while (channel_next(&b, &f, &p) == 1) {
				assert_int_equal(f.stream, got);
				assert_int_equal(
					f.length, (size_t)(got * 977) % (ARROW_FRAME_MAX + 1));
				got++;
			}
		}
	}
	for (int i = 0; i < 1000 && got < 500; i++) {
		assert_int_equal(channel_flush(&a), 0);
		assert_int_equal(channel_fill(&b), 0);
		while (channel_next(&b, &f, &p) == 1)
			assert_int_equal(f.stream, got++);
	}
	assert_int_equal(got, 500);
	channel_release(&a);
	assert_int_equal(channel_fill(&b), -EPIPE);
	channel_release(&b);
}

static void a_frame_that_is_too_long_is_refused(void **state)
{
	uint8_t head[ARROW_FRAME_HEADER];
	struct channel c;
	struct arrow_frame f;
	const uint8_t *p;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(channel_init(&c, s[0]), 0);
	arrow_frame_encode(head, (struct arrow_frame){.type = ARROW_DATA, .length = UINT32_MAX});
	assert_int_equal(write(s[1], head, sizeof(head)), sizeof(head));
	assert_int_equal(channel_fill(&c), 0);
	assert_int_equal(channel_next(&c, &f, &p), -EPROTO);
	channel_release(&c);
	close(s[1]);
}

static void a_name_is_taken_once_and_a_dead_keeper_gives_it_back(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	char dir[] = "/tmp/arrow-unit-XXXXXX", run[] = "/tmp/arrow-unit-XXXXXX";
	struct arrow_paths paths = {.data = dir, .run = run};
	struct arrow_instance one, two;
	struct arrow_spec spec;

	assert_non_null(mkdtemp(dir));
	assert_non_null(mkdtemp(run));
	arrow_spec_init(&spec);
	spec.name = strdup("same");
	spec.life.auto_remove = true;
	assert_int_equal(arrow_instance_create(&one, &paths, &spec, &e), 0);
	assert_int_equal(arrow_instance_create(&two, &paths, &spec, &e), -EEXIST);
	assert_non_null(strstr(e.text, "'same' is in use"));
	arrow_error_clear(&e);

	/* The lock is gone and the folder is not: as after SIGKILL of one that was started. */
	assert_int_equal(arrow_instance_prepare(&one, &e), 0);
	arrow_instance_release(&one);
	assert_int_equal(arrow_instance_create(&two, &paths, &spec, &e), 0);
	arrow_instance_remove(&two, false);
	assert_int_equal(arrow_instance_create(&one, &paths, &spec, &e), 0);
	arrow_instance_remove(&one, false);
	arrow_spec_release(&spec);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
	assert_int_equal(remove_tree(AT_FDCWD, run), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(cpus),
		cmocka_unit_test(values_reach_their_limits),
		cmocka_unit_test(not_given),
		cmocka_unit_test(env_files),
		cmocka_unit_test(label_files),
		cmocka_unit_test(mounts),
		cmocka_unit_test(volumes_and_tmpfs),
		cmocka_unit_test(networks),
		cmocka_unit_test(networks_are_stored),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(names_hosts_limits),
		cmocka_unit_test(a_job_arrives_whole),
		cmocka_unit_test(arguments_and_environment_reach_their_limits),
		cmocka_unit_test(a_job_reaches_its_limit),
		cmocka_unit_test(two_jobs_never_have_the_same_seed),
		cmocka_unit_test(frames_survive_any_cut),
		cmocka_unit_test(a_frame_that_is_too_long_is_refused),
		cmocka_unit_test(a_name_is_taken_once_and_a_dead_keeper_gives_it_back),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
