// SPDX-License-Identifier: Apache-2.0
/* Specs as JSON, states, logs, and the words of options that live on disk. */
#include "core/spec/parse.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/client.h"
#include "core/client/manage.h"
#include "core/client/update.h"
#include "core/control/control.h"
#include "core/instance/instance.h"
#include "core/instance/list.h"
#include "core/instance/log.h"
#include "core/instance/log_reader.h"
#include "core/spec/spec_json.h"
#include "core/instance/state.h"
#include "core/start/start.h"
#include "util/cleanup.h"
#include "util/io.h"

static char *text_of(const struct arrow_spec *spec)
{
	json_t *json = arrow_spec_to_json(spec);
	char *text = json_dumps(json, JSON_SORT_KEYS);

	json_decref(json);
	return text;
}

static void a_spec_comes_back_as_it_was(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *first = NULL, *second = NULL;
	struct arrow_spec a, b;
	json_t *json;

	arrow_spec_init(&a);
	a.source.program = strdup("/bin/x\xff");
	assert_int_equal(arrow_strings_add(&a.process.args, ""), 0);
	assert_int_equal(arrow_strings_add(&a.process.args, "\xe9\x01\n"), 0);
	assert_int_equal(arrow_parse_env(&a, "A=b", NULL, &e), 0);
	assert_int_equal(arrow_parse_volume(&a, "/tmp:/x:ro", &e), 0);
	assert_int_equal(arrow_parse_tmpfs(&a, "/t:size=1m", &e), 0);
	assert_int_equal(arrow_parse_ulimit(&a, "nofile=5:6", &e), 0);
	assert_int_equal(arrow_parse_restart(&a, "on-failure:7", &e), 0);
	assert_int_equal(arrow_parse_signal("SIGUSR1", &a.life.stop_signal, &e), 0);
	assert_int_equal(net_ports_parse(&a.net.ports, "8000-8010:80/udp", &e), 0);
	a.limits.memory = UINT64_MAX;
	a.process.caps = 1ull << 63;
	a.process.tty = a.life.auto_remove = a.process.stdin_once = true;
	a.life.health.interval = 5;
	assert_int_equal(arrow_strings_add(&a.life.health.test, "CMD"), 0);

	json = arrow_spec_to_json(&a);
	arrow_spec_init(&b);
	assert_int_equal(arrow_spec_from_json(&b, json, &e), 0);
	json_decref(json);
	assert_string_equal(b.source.program, a.source.program);
	assert_int_equal(b.process.args.n, 2);
	assert_string_equal(b.process.args.v[0], "");
	assert_string_equal(b.process.args.v[1], a.process.args.v[1]);
	assert_int_equal(b.limits.memory, UINT64_MAX);
	assert_int_equal(b.process.caps, 1ull << 63);
	assert_int_equal(b.life.restart, ARROW_RESTART_ON_FAILURE);
	assert_int_equal(b.life.restart_max, 7);
	assert_int_equal(b.life.stop_signal, SIGUSR1);
	assert_int_equal(b.files.n_volumes, 1);
	assert_true(b.files.volumes[0].read_only);
	assert_int_equal(b.process.n_ulimits, 1);
	assert_int_equal(b.process.ulimits[0].hard, 6);
	assert_int_equal(b.net.ports.n, 1);
	assert_int_equal(b.net.ports.v[0].host_last, 8010);
	assert_true(b.process.tty && b.life.auto_remove && b.process.stdin_once &&
		    !b.process.interactive);
	first = text_of(&a);
	second = text_of(&b);
	assert_string_equal(first, second);
	arrow_spec_release(&a);
	arrow_spec_release(&b);
}

static void a_damaged_spec_is_told(void **state)
{
	static const char *const bad[] = {"[]", "{\"args\": 1}", "{\"args\": [1]}",
		"{\"memory\": \"x\"}", "{\"millicpus\": -1}", "{\"millicpus\": 4294967296}",
		"{\"tty\": 1}", "{\"volumes\": [{\"host\": 5}]}", "{\"program\": {\"hex\": \"0\"}}",
		"{\"program\": {\"hex\": \"00\"}}", "{\"program\": {\"hex\": \"zz\"}}"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		struct arrow_spec spec;
		json_t *json = json_loads(bad[i], 0, NULL);

		arrow_spec_init(&spec);
		assert_true(arrow_spec_from_json(&spec, json, &e) < 0);
		assert_non_null(strstr(e.text, "damaged"));
		arrow_spec_release(&spec);
		json_decref(json);
	}
}

static const char *variable_of_caller(const char *name)
{
	return strcmp(name, "MINE") == 0 ? "value" : NULL;
}

/* Two commands of one process may have two callers. */
static void a_variable_without_a_value_is_the_callers(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	assert_int_equal(setenv("OURS", "process", 1), 0);
	assert_int_equal(arrow_parse_env(&spec, "MINE", variable_of_caller, &e), 0);
	assert_int_equal(arrow_parse_env(&spec, "OURS", variable_of_caller, &e), 0);
	assert_int_equal(arrow_parse_env(&spec, "OURS", NULL, &e), 0);
	assert_int_equal(spec.process.env.n, 1);
	assert_string_equal(spec.process.env.v[0], "MINE=value");
	unsetenv("OURS");
	arrow_spec_release(&spec);
}

static int make_dir(char dir[32])
{
	snprintf(dir, 32, "/tmp/arrow-unit-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void a_state_comes_back_and_nonsense_is_dead(void **state)
{
	struct arrow_state a = {.life = ARROW_LIFE_RESTARTING,
		.keeper_pid = 7,
		.exit_code = 137,
		.oom = true,
		.restarts = 3,
		.error = "why \xff"};
	struct arrow_state b;
	char dir[32];
	int fd = make_dir(dir);

	assert_int_equal(arrow_state_read(fd, &b), 0);
	assert_int_equal(b.life, ARROW_LIFE_CREATED);
	assert_int_equal(arrow_state_write(fd, &a), 0);
	assert_int_equal(arrow_state_read(fd, &b), 0);
	assert_int_equal(b.life, ARROW_LIFE_RESTARTING);
	assert_int_equal(b.keeper_pid, 7);
	assert_int_equal(b.exit_code, 137);
	assert_true(b.oom && !b.manual_stop);
	assert_int_equal(b.restarts, 3);
	assert_string_equal(b.error, "why ?");
	arrow_state_release(&b);
	assert_int_equal(write_file_atomic(fd, "state.json", 0600, "{\"status\": \"odd\"}", 17), 0);
	assert_true(arrow_state_read(fd, &b) < 0);
	assert_int_equal(b.life, ARROW_LIFE_DEAD);
	close(fd);
	remove_tree(AT_FDCWD, dir);
}

static void open_log(struct log *log, int fd, const char *opt1, const char *opt2)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;

	arrow_spec_init(&spec);
	if (opt1)
		assert_int_equal(arrow_strings_add(&spec.log.opts, opt1), 0);
	if (opt2)
		assert_int_equal(arrow_strings_add(&spec.log.opts, opt2), 0);
	assert_int_equal(log_open(log, &spec, fd, "id", "name", &e), 0);
	arrow_spec_release(&spec);
}

/* The texts of all entries of a log file, one behind the other. */
static size_t read_log(int fd, const char *name, char *to, size_t size, unsigned int *entries)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest;
	size_t used = 0;

	*entries = 0;
	assert_int_equal(read_file(fd, name, 64u << 20, &text, NULL), 0);
	for (rest = text; (line = strsep(&rest, "\n")) && *line; ++*entries) {
		json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL), *log;

		assert_non_null(o);
		log = json_object_get(o, "log");
		assert_true(used + json_string_length(log) <= size);
		memcpy(to + used, json_string_value(log), json_string_length(log));
		used += json_string_length(log);
		json_decref(o);
	}
	return used;
}

static void a_log_keeps_every_byte_however_it_is_cut(void **state)
{
	static char text[100000], back[100000];
	unsigned int entries;
	struct log log;
	char dir[32];
	int fd = make_dir(dir);

	/* All bytes of ASCII, and lines of all lengths, one of them longer than an entry. */
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 257 == 256 && (i < 30000 || i > 60000) ? '\n' : (char)(i % 128);
	for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
		open_log(&log, fd, NULL, NULL);
		for (size_t at = 0; at < sizeof(text); at += piece)
			log_write(&log, 1, text + at,
				piece < sizeof(text) - at ? piece : sizeof(text) - at);
		log_finish(&log);
		log_close(&log);
		assert_int_equal(
			read_log(fd, ARROW_LOG_FILE, back, sizeof(back), &entries), sizeof(text));
		assert_memory_equal(back, text, sizeof(text));
		assert_int_equal(unlinkat(fd, ARROW_LOG_FILE, 0), 0);
	}
	close(fd);
	remove_tree(AT_FDCWD, dir);
}

static void a_torn_line_is_cut_off(void **state)
{
	static const char torn[] = "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n{\"lo";
	char back[64];
	unsigned int entries;
	struct log log;
	char dir[32];
	int fd = make_dir(dir);

	assert_int_equal(write_file_atomic(fd, ARROW_LOG_FILE, 0600, torn, sizeof(torn) - 1), 0);
	open_log(&log, fd, NULL, NULL);
	log_write(&log, 2, "b\n\xff\xc0\x80\n", 6);
	log_close(&log);
	assert_int_equal(read_log(fd, ARROW_LOG_FILE, back, sizeof(back), &entries), 14);
	assert_memory_equal(back, "a\nb\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n", 14);
	assert_int_equal(entries, 3);
	close(fd);
	remove_tree(AT_FDCWD, dir);
}

/* A label and a variable that are written with each line, of so many bytes as JSON. */
static int open_log_with_attrs(struct log *log, int fd, size_t size)
{
	static const char rest[] = ",\"attrs\":{\"E\":\"x\",\"label\":\"\"}";
	_cleanup_free_ char *value = calloc(1, size);
	_cleanup_free_ char *label = NULL;
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_spec spec;
	int r;

	assert_non_null(value);
	memset(value, 'v', size - strlen(rest));
	label = path_format("label=%s", value);
	arrow_spec_init(&spec);
	assert_int_equal(arrow_strings_add(&spec.labels, "labels=not wanted"), 0);
	assert_int_equal(arrow_strings_add(&spec.labels, label), 0);
	assert_int_equal(arrow_strings_add(&spec.process.env, "E=x"), 0);
	assert_int_equal(arrow_strings_add(&spec.process.env, "EE=not wanted"), 0);
	assert_int_equal(arrow_strings_add(&spec.log.opts, "labels=none,,label"), 0);
	assert_int_equal(arrow_strings_add(&spec.log.opts, "env=E"), 0);
	r = log_open(log, &spec, fd, "id", "name", &e);
	arrow_spec_release(&spec);
	return r;
}

static void a_log_has_labels_and_variables_with_each_line(void **state)
{
	static char text[3 * ARROW_LOG_LINE], back[sizeof(text) + 4];
	_cleanup_free_ char *file = NULL;
	unsigned int entries;
	struct log log;
	char dir[32];
	int fd = make_dir(dir);

	/* As many as there can be, with the lines that take the most; and one byte more. */
	assert_int_equal(open_log_with_attrs(&log, fd, 8192), 0);
	log_write(&log, 1, "a\nb\n", 4);
	memset(text, '\1', sizeof(text));
	log_write(&log, 2, text, sizeof(text));
	log_finish(&log);
	log_close(&log);
	assert_int_equal(read_log(fd, ARROW_LOG_FILE, back, sizeof(back), &entries), sizeof(back));
	assert_int_equal(entries, 5);
	assert_int_equal(read_file(fd, ARROW_LOG_FILE, 1u << 20, &file, NULL), 0);
	for (char *line = file, *end; *line; line = end + 1) {
		json_t *o, *attrs;

		end = strchr(line, '\n');
		assert_true((size_t)(end - line) < 8 * (size_t)ARROW_LOG_LINE);
		*end = '\0';
		o = json_loads(line, 0, NULL);
		attrs = json_object_get(o, "attrs");
		assert_int_equal(json_object_size(attrs), 2);
		assert_string_equal(json_string_value(json_object_get(attrs, "E")), "x");
		assert_true(json_string_length(json_object_get(attrs, "label")) > 8000);
		json_decref(o);
	}
	assert_int_equal(unlinkat(fd, ARROW_LOG_FILE, 0), 0);
	assert_int_equal(open_log_with_attrs(&log, fd, 8193), -E2BIG);
	log_close(&log);
	close(fd);
	remove_tree(AT_FDCWD, dir);
}

static void a_log_is_rotated_by_size(void **state)
{
	struct stat st;
	struct log log;
	char dir[32];
	int fd = make_dir(dir);

	open_log(&log, fd, "max-size=1k", "max-file=3");
	for (int i = 0; i < 200; i++)
		log_write(&log, 1, "twenty bytes a line\n", 20);
	log_close(&log);
	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), i ? "log.json.%d" : "log.json", i);
		assert_int_equal(fstatat(fd, name, &st, 0), 0);
		assert_true(st.st_size > 0 && st.st_size <= 1024);
	}
	assert_int_equal(faccessat(fd, "log.json.3", F_OK, 0), -1);
	close(fd);
	remove_tree(AT_FDCWD, dir);
}

static void a_log_has_a_limit_unless_it_is_told_otherwise(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	static const struct {
		const char *options[2];
		uint64_t size;
		uint32_t files; /* 0: refused */
	} cases[] = {
		{{NULL}, 10 << 20, 3},
		{{"max-file=5"}, 10 << 20, 5},
		{{"max-size=1m"}, 1 << 20, 1},
		{{"max-size=1m", "max-file=2"}, 1 << 20, 2},
		{{"max-size=-1"}, 0, 1},
		{{"max-size=-1", "max-file=1"}, 0, 1},
		{{"max-size=-1", "max-file=2"}, 0, 0},
		{{"max-size=0"}, 0, 0},
		{{"max-size=1k", "max-file=1000"}, 1024, 1000},
		{{"max-size=1k", "max-file=1001"}, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arrow_spec spec;
		struct log log;
		int r;

		arrow_spec_init(&spec);
		for (int n = 0; n < 2 && cases[i].options[n]; n++)
			assert_int_equal(arrow_strings_add(&spec.log.opts, cases[i].options[n]), 0);
		r = log_options(&log, &spec, &e);
		assert_int_equal(r, cases[i].files ? 0 : -EINVAL);
		if (r == 0) {
			assert_int_equal(log.max_size, cases[i].size);
			assert_int_equal(log.max_file, cases[i].files);
		}
		if (cases[i].options[1] && strcmp(cases[i].options[1], "max-file=1001") == 0)
			assert_non_null(strstr(e.text, "from 1 to 1000"));
		arrow_error_clear(&e);
		arrow_spec_release(&spec);
	}
}

static void detach_keys(void **state)
{
	static const char *const bad[] = {"", ",", "ctrl-", "ctrl-é", "ab", "a,,b", "ctrl-p,"};
	uint8_t keys[CLIENT_KEYS_MAX];
	struct arrow_error e = ARROW_ERROR_INIT;

	assert_int_equal(client_parse_keys("ctrl-p,ctrl-q", keys, &e), 2);
	assert_int_equal(keys[0], 16);
	assert_int_equal(keys[1], 17);
	assert_int_equal(client_parse_keys("a,ctrl-@,ctrl-_,Z", keys, &e), 4);
	assert_memory_equal(keys, "a\0\x1fZ", 4);
	/* As many as there can be, and one more. */
	assert_int_equal(client_parse_keys("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,ctrl-p", keys, &e), 16);
	assert_int_equal(keys[15], 16);
	assert_int_equal(client_parse_keys("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", keys, &e), -EINVAL);
	assert_non_null(strstr(e.text, "1 to 16 keys"));
	arrow_error_clear(&e);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(client_parse_keys(bad[i], keys, &e), -EINVAL);
		arrow_error_clear(&e);
	}
}

static void times_of_logs(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	static const char *const bad[] = {"", "x", "1x", "2026-13-01", "2026-01-01T", "1h30", "-5"};
	struct timespec t, now;

	assert_int_equal(log_parse_time("1764000000.5", &t, &e), 0);
	assert_int_equal(t.tv_sec, 1764000000);
	assert_int_equal(t.tv_nsec, 500000000);
	assert_int_equal(log_parse_time("2025-11-24T16:00:00.25+01:00", &t, &e), 0);
	assert_int_equal(t.tv_sec, 1763996400);
	assert_int_equal(t.tv_nsec, 250000000);
	assert_int_equal(log_parse_time("1h30m", &t, &e), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	assert_in_range(now.tv_sec - t.tv_sec, 5400, 5460);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(log_parse_time(bad[i], &t, &e), -EINVAL);
		arrow_error_clear(&e);
	}
}

/* A data and a run directory of its own, below dir. */
static struct arrow_paths make_paths(char dir[32])
{
	struct arrow_paths paths = {0};

	close(make_dir(dir));
	paths.data = path_format("%s/data", dir);
	paths.run = path_format("%s/run", dir);
	assert_int_equal(mkdir(paths.data, 0700), 0);
	assert_int_equal(mkdir(paths.run, 0700), 0);
	return paths;
}

static void free_paths(struct arrow_paths *paths, const char *dir)
{
	arrow_paths_release(paths);
	remove_tree(AT_FDCWD, dir);
}

/* A thousand may run, and each start waits for the lock under which they are looked at. */
static void a_new_arrow_does_not_read_those_that_run(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_close_ int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct arrow_instance running, added;
	struct inotify_event event;
	struct arrow_spec spec;
	char dir[32];
	struct arrow_paths paths = make_paths(dir);
	_cleanup_free_ char *config = NULL;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_instance_create(&running, &paths, &spec, &e), 0);
	assert_int_equal(arrow_instance_prepare(&running, &e), 0);
	config = path_format("%s/config.json", running.dir);
	assert_true(inotify_add_watch(watch, config, IN_OPEN) >= 0);
	assert_int_equal(arrow_instance_create(&added, &paths, &spec, &e), 0);
	assert_int_equal(read(watch, &event, sizeof(event)), -1);
	assert_int_equal(errno, EAGAIN);
	arrow_instance_release(&added);
	arrow_instance_release(&running);
	arrow_spec_release(&spec);
	free_paths(&paths, dir);
}

/* Whether this file was opened since the last time that it was asked. */
static bool was_opened(int watch)
{
	struct inotify_event event;
	bool any = false;

	while (read(watch, &event, sizeof(event)) > 0)
		any = true;
	return any;
}

/* `ps` lists few that run among many that do not. */
static void a_list_of_those_that_run_reads_no_more_than_the_state_of_others(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_close_ int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct arrow_instance i;
	struct arrow_spec spec;
	char dir[32];
	struct arrow_paths paths = make_paths(dir);
	_cleanup_free_ char *config = NULL, *lock = NULL;
	json_t *list = NULL;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_instance_create(&i, &paths, &spec, &e), 0);
	config = path_format("%s/config.json", i.dir);
	lock = path_format("%s/lock", i.dir);
	i.state.life = ARROW_LIFE_EXITED;
	assert_int_equal(arrow_state_write(i.dir_fd, &i.state), 0);
	assert_true(inotify_add_watch(watch, config, IN_OPEN) >= 0);
	assert_true(inotify_add_watch(watch, lock, IN_OPEN) >= 0);
	assert_int_equal(arrow_list(&paths, false, &list, &e), 0);
	assert_int_equal(json_array_size(list), 0);
	assert_false(was_opened(watch));
	json_decref(list);

	i.state.life = ARROW_LIFE_RUNNING;
	assert_int_equal(arrow_state_write(i.dir_fd, &i.state), 0);
	assert_int_equal(arrow_list(&paths, false, &list, &e), 0);
	assert_int_equal(json_array_size(list), 1);
	assert_true(was_opened(watch));
	json_decref(list);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	free_paths(&paths, dir);
}

/* One that cannot have another name on its network keeps its own, for every command. */
static void a_rename_that_fails_keeps_the_name(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_instance i, now;
	char dir[32], id[ARROW_ID_HEX];
	struct arrow_spec spec;
	struct arrow_paths paths = make_paths(dir);
	_cleanup_free_ char *leases = path_format("%s/networks/n/leases", paths.run);
	_cleanup_free_ char *names = path_format("%s/names", paths.run);
	_cleanup_free_ char *text = NULL, *lease = NULL, *file = NULL;
	_cleanup_close_ int fd = -1;

	arrow_spec_init(&spec);
	spec.name = strdup("old");
	assert_int_equal(arrow_instance_create(&i, &paths, &spec, &e), 0);
	lease = path_format("%s/%s", leases, i.id);
	text = path_format("{\"id\": \"%s\", \"name\": \"old\", \"tap\": \"awt0-x\", "
			   "\"mac\": \"02:00:00:00:00:01\", \"aliases\": [], \"ports\": []}",
		i.id);
	assert_int_equal(mkdir_all(leases, 0700), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, lease, 0600, text, strlen(text)), 0);
	/* As its keeper does. */
	fd = open(lease, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	/* A file where the names of the network are to be. */
	file = path_format("%s/n", names);
	assert_int_equal(mkdir_all(names, 0755), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, file, 0644, "", 0), 0);
	assert_true(arrow_rename(&paths, "old", "new", &e) < 0);
	assert_non_null(strstr(e.text, "cannot rename it on its networks"));
	arrow_error_clear(&e);
	assert_int_equal(arrow_instance_find(&paths, "old", id, &e), 0);
	assert_int_equal(arrow_instance_open(&now, &paths, id, NULL, &e), 0);
	assert_string_equal(now.name, "old");
	arrow_instance_release(&now);
	assert_int_equal(arrow_instance_find(&paths, "new", id, &e), -ENOENT);
	arrow_error_clear(&e);
	/* Without that it can. */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(arrow_rename(&paths, "old", "new", &e), 0);
	assert_int_equal(arrow_instance_find(&paths, "new", id, &e), 0);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	free_paths(&paths, dir);
}

static void a_run_that_is_refused_leaves_stdin_open(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	const struct arrow_attach how = {.input = true, .output = true};
	int saved = dup(0), null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), status;
	struct arrow_spec spec;
	char dir[32], id[ARROW_ID_HEX];
	struct arrow_paths paths = make_paths(dir);

	assert_int_equal(dup2(null_fd, 0), 0);
	arrow_spec_init(&spec);
	spec.process.tty = spec.process.interactive = true;
	assert_int_equal(arrow_run(&paths, &spec, NULL, &how, id, &status, &e), -ENOTTY);
	assert_true(fcntl(0, F_GETFD) >= 0);
	if (saved >= 0)
		dup2(saved, 0);
	close(saved);
	close(null_fd);
	arrow_spec_release(&spec);
	free_paths(&paths, dir);
}

/* Answers RELOAD, hangs up on what is to be executed, and writes down what came. */
static void __attribute__((noreturn)) play_keeper(int listener, int record, int reload_errno)
{
	for (;;) {
		struct pollfd p = {listener, POLLIN, 0};
		struct arrow_frame f;
		const uint8_t *payload;
		struct channel c;
		uint8_t answer[8];

		if (poll(&p, 1, -1) < 0 || channel_init(&c, accept(listener, NULL, NULL)) < 0)
			_exit(1);
		p.fd = c.fd;
		while (channel_next(&c, &f, &payload) == 0)
			if (poll(&p, 1, -1) < 0 || channel_fill(&c) < 0)
				_exit(1);
		if (f.type == ARROW_RELOAD) {
			dprintf(record, "reload %u\n", arrow_get32(payload));
			arrow_put32(answer, ARROW_RELOAD);
			arrow_put32(answer + 4, (uint32_t)reload_errno);
			if (channel_send(&c, ARROW_CONTROL, ARROW_ANSWER, answer, 8) < 0 ||
				channel_flush(&c) < 0)
				_exit(1);
		} else {
			dprintf(record, f.type == ARROW_EXEC ? "exec\n" : "other\n");
		}
		channel_release(&c);
	}
}

/* Updates an Arrow whose keeper plays; says what that was asked, and the process limit after it. */
static int update_played(int reload_errno, char *asked, size_t size, uint32_t *pids)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct arrow_instance i, now;
	struct arrow_spec spec, values;
	char dir[32];
	struct arrow_paths paths = make_paths(dir);
	int record[2], listener, r;
	pid_t keeper;
	ssize_t n;

	arrow_spec_init(&spec);
	arrow_spec_init(&values);
	spec.limits.pids_max = 10;
	values.limits.pids_max = 20;
	values.limits.memory = 2 * spec.limits.memory;
	assert_int_equal(arrow_instance_create(&i, &paths, &spec, &e), 0);
	assert_int_equal(arrow_instance_prepare(&i, &e), 0);
	listener = control_listen(i.run_dir, &e);
	assert_true(listener >= 0);
	assert_int_equal(pipe2(record, O_CLOEXEC), 0);
	keeper = fork();
	if (keeper == 0)
		play_keeper(listener, record[1], reload_errno);
	close(record[1]);
	r = arrow_update(&paths, i.id, &values, ARROW_UPDATE_PIDS | ARROW_UPDATE_MEMORY, &e);
	/* An answer without words is told by its number, never by an empty line. */
	assert_true(reload_errno == 0 || strstr(e.text, strerror(reload_errno)));
	kill(keeper, SIGKILL);
	waitpid(keeper, NULL, 0);
	n = read_full(record[0], asked, size - 1);
	assert_true(n >= 0);
	asked[n] = '\0';
	arrow_spec_release(&spec);
	arrow_error_clear(&e);
	assert_int_equal(arrow_instance_open(&now, &paths, i.id, &spec, &e), 0);
	assert_int_equal(spec.limits.memory, ARROW_DEFAULT_MEMORY);
	*pids = spec.limits.pids_max;
	arrow_instance_release(&now);
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	arrow_spec_release(&values);
	close(record[0]);
	close(listener);
	free_paths(&paths, dir);
	return r;
}

static void an_update_that_fails_changes_nothing(void **state)
{
	char asked[256];
	uint32_t pids;

	/* The guest is not asked for what its keeper refused. */
	assert_int_equal(update_played(EBUSY, asked, sizeof(asked), &pids), -EBUSY);
	assert_string_equal(asked, "reload 1024\nreload 512\n");
	assert_int_equal(pids, 10);
	/* All are asked back what a guest refused. */
	assert_true(update_played(0, asked, sizeof(asked), &pids) < 0);
	assert_string_equal(asked, "reload 1024\nexec\nreload 512\nexec\n");
	assert_int_equal(pids, 10);
}

/* A lock that cannot be taken, whatever the reason, is told. */
static void a_removal_that_fails_says_why(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	char dir[32];
	struct arrow_paths paths = make_paths(dir);
	struct arrow_instance i;
	struct arrow_spec spec;
	_cleanup_free_ char *lock = NULL;

	arrow_spec_init(&spec);
	assert_int_equal(arrow_instance_create(&i, &paths, &spec, &e), 0);
	lock = path_format("%s/lock", i.dir);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(mkdir(lock, 0700), 0);
	for (int force = 0; force < 2; force++) {
		assert_true(arrow_remove(&paths, i.id, force, false, &e) < 0);
		assert_non_null(e.text);
		assert_non_null(strstr(e.text, "cannot lock"));
		arrow_error_clear(&e);
	}
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	free_paths(&paths, dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spec_comes_back_as_it_was),
		cmocka_unit_test(a_damaged_spec_is_told),
		cmocka_unit_test(a_variable_without_a_value_is_the_callers),
		cmocka_unit_test(a_state_comes_back_and_nonsense_is_dead),
		cmocka_unit_test(a_log_keeps_every_byte_however_it_is_cut),
		cmocka_unit_test(a_torn_line_is_cut_off),
		cmocka_unit_test(a_removal_that_fails_says_why),
		cmocka_unit_test(a_log_has_labels_and_variables_with_each_line),
		cmocka_unit_test(a_log_is_rotated_by_size),
		cmocka_unit_test(a_log_has_a_limit_unless_it_is_told_otherwise),
		cmocka_unit_test(detach_keys),
		cmocka_unit_test(times_of_logs),
		cmocka_unit_test(a_new_arrow_does_not_read_those_that_run),
		cmocka_unit_test(a_list_of_those_that_run_reads_no_more_than_the_state_of_others),
		cmocka_unit_test(a_rename_that_fails_keeps_the_name),
		cmocka_unit_test(a_run_that_is_refused_leaves_stdin_open),
		cmocka_unit_test(an_update_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
