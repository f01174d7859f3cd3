// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/input/options.h"
#include "cli/input/settings.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "cli/output/print.h"
#include "core/client/exec.h"
#include "core/instance/list.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"

#define INTERVAL_MS "1000"
#define SHORT_ID 12
#define STANDARD                                                                                   \
	"table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t"        \
	"{{.BlockIO}}\t{{.PIDs}}"
#define ANSWER_MAX 4096u     /* bytes of one answer of a guest */
#define TURN_MS 2500u        /* a table is shown then, though an Arrow has not answered */
#define FIRST_TURN_MS 30000u /* for the first two answers, on a slow machine */

enum { OPT_NO_TRUNC = 256 };

enum { AT, CPU, MEM_TOTAL, MEM_USED, PIDS, NET_IN, NET_OUT, BLOCK_IN, BLOCK_OUT, FIGURES };

static const char *const names[FIGURES] = {"at_us", "cpu_us", "mem_total", "mem_used", "pids",
	"net_in", "net_out", "block_in", "block_out"};

/* An Arrow that is watched. */
struct target {
	const char *id, *name;
	struct arrow_worker worker;
	char text[ANSWER_MAX];
	size_t used;
	unsigned long long now[FIGURES], before[FIGURES];
	unsigned int answers;
	bool fresh;   /* since the last table */
	bool stopped; /* it did not run when this command began */
};

struct input {
	struct arrow_strings arrows;
	const char *format;
	bool once, all, whole;
};

static error_t stats_parse(int key, char *arg, struct argp_state *state)
{
	struct input *in = state->input;

	switch (key) {
	case 'n':
		in->once = true;
		return 0;
	case 'a':
		in->all = true;
		return 0;
	case OPT_NO_TRUNC:
		in->whole = true;
		return 0;
	case CLI_FORMAT_KEY:
		in->format = arg;
		return 0;
	case ARGP_KEY_ARG:
		return arrow_strings_add(&in->arrows, arg) < 0 ? ENOMEM : 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* clang-format off */
static const struct argp_option options[] = {
	{"no-stream", 'n', 0, 0, "Show the figures once", 0},
	{"all", 'a', 0, 0, "Show also Arrows that do not run", 0},
	{"no-trunc", OPT_NO_TRUNC, 0, 0, "Do not shorten ids", 0},
	{"format", CLI_FORMAT_KEY, "FORMAT", 0, "table, json, or a Go template as in Docker", 0},
	{0, 0, 0, 0, 0, 0},
};
/* clang-format on */

static const struct argp stats_argp = {options, stats_parse, "[ARROW...]",
	"Show the resource usage of all running Arrows, or of the given ones, every second.\v"
	"The figures come from the Arrow's own kernel: 100 % is one of its CPUs, and memory is what its programs, its files in memory and its kernel use.",
	NULL, NULL, NULL};

/* Lines "name number". Unknown ones are of a newer loader. */
static void stats_take_answer(struct target *t, char *text)
{
	char *line;

	memcpy(t->before, t->now, sizeof(t->now));
	while ((line = strsep(&text, "\n"))) {
		char *space = strchr(line, ' ');

		for (size_t i = 0; space && i < FIGURES; i++)
			if ((size_t)(space - line) == strlen(names[i]) &&
				strncmp(line, names[i], strlen(names[i])) == 0)
				t->now[i] = strtoull(space + 1, NULL, 10) & INT64_MAX;
	}
	t->answers++;
	t->fresh = true;
}

/* Takes what has come. Returns false when the Arrow has ended, or what it sends is not valid. */
static bool stats_read(struct target *t)
{
	ssize_t n = read(t->worker.out, t->text + t->used, sizeof(t->text) - 1 - t->used);
	char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	t->used += (size_t)n;
	t->text[t->used] = '\0';
	while ((end = strstr(t->text, "\n\n"))) {
		size_t size = (size_t)(end + 2 - t->text);

		end[1] = '\0';
		stats_take_answer(t, t->text);
		memmove(t->text, t->text + size, t->used - size + 1);
		t->used -= size;
	}
	return t->used < sizeof(t->text) - 1 && strlen(t->text) == t->used;
}

static double stats_percent_of_cpu(const struct target *t)
{
	unsigned long long wall = t->now[AT] - t->before[AT], cpu = t->now[CPU] - t->before[CPU];

	if (t->answers < 2 || t->now[AT] <= t->before[AT] || t->now[CPU] < t->before[CPU])
		return 0;
	return 100.0 * (double)cpu / (double)wall;
}

/* "1.2 MiB / 64.0 MiB" */
static char *stats_format_pair(unsigned long long first, unsigned long long second)
{
	_cleanup_free_ char *a = human_binary_size(first), *b = human_binary_size(second);

	return a && b ? path_format("%s / %s", a, b) : NULL;
}

/* What Docker's templates name; "--" where there are no figures. */
static json_t *stats_make_row(const struct target *t, const struct input *in)
{
	double memory = t->now[MEM_TOTAL]
				? 100.0 * (double)t->now[MEM_USED] / (double)t->now[MEM_TOTAL]
				: 0;
	_cleanup_free_ char *used = stats_format_pair(t->now[MEM_USED], t->now[MEM_TOTAL]),
			    *net = stats_format_pair(t->now[NET_IN], t->now[NET_OUT]),
			    *block = stats_format_pair(t->now[BLOCK_IN], t->now[BLOCK_OUT]),
			    *cpu = path_format("%.2f%%", stats_percent_of_cpu(t)),
			    *percent = path_format("%.2f%%", memory),
			    *pids = path_format("%llu", t->now[PIDS]);
	size_t size = in->whole ? strlen(t->id) : strnlen(t->id, SHORT_ID);

	if (t->stopped)
		return json_pack("{s:s%, s:s%, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Container",
			t->id, size, "ID", t->id, size, "Name", t->name, "CPUPerc", "--",
			"MemUsage", "-- / --", "MemPerc", "--", "NetIO", "--", "BlockIO", "--",
			"PIDs", "--");
	return json_pack("{s:s%, s:s%, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Container", t->id,
		size, "ID", t->id, size, "Name", t->name, "CPUPerc", cpu, "MemUsage", used,
		"MemPerc", percent, "NetIO", net, "BlockIO", block, "PIDs", pids);
}

static int stats_show(
	const struct target *targets, size_t n, const struct input *in, struct arrow_error *error)
{
	static const struct cli_heading headings[] = {{"ID", "ARROW ID"}, {"CPUPerc", "CPU %"},
		{"MemUsage", "MEM USAGE / LIMIT"}, {"MemPerc", "MEM %"}, {"NetIO", "NET I/O"},
		{"BlockIO", "BLOCK I/O"}, {"PIDs", "PIDS"}, {0}};
	json_t *rows = json_array();
	int r;

	for (size_t i = 0; i < n; i++)
		if (targets[i].worker.out >= 0 || targets[i].stopped)
			json_array_append_new(rows, stats_make_row(&targets[i], in));
	if (!in->once && (!in->format || strncmp(in->format, "table", 5) == 0))
		fputs("\033[2J\033[H", stdout);
	r = cli_format_rows(in->format, STANDARD, headings, rows, error);
	json_decref(rows);
	return r < 0 ? r : cli_flush();
}

static bool stats_wants(const json_t *row, const struct input *in)
{
	const char *id = json_string_value(json_object_get(row, "id"));
	const char *name = json_string_value(json_object_get(row, "name"));

	for (size_t i = 0; i < in->arrows.n; i++)
		if (strcmp(in->arrows.v[i], name) == 0 ||
			strncmp(in->arrows.v[i], id, strlen(in->arrows.v[i])) == 0)
			return true;
	return in->arrows.n == 0;
}

static bool stats_runs(const json_t *row)
{
	const char *status = json_text(row, "status");

	return strcmp(status, "running") == 0 || strcmp(status, "paused") == 0 ||
	       strcmp(status, "restarting") == 0;
}

/* Starts to watch the Arrows of a list. One that is named must be there. */
static int stats_begin(const struct arrow_paths *paths, const json_t *list, const struct input *in,
	struct target *targets, size_t *n, struct arrow_error *error)
{
	const char *argv[] = {"usage", INTERVAL_MS, NULL};
	const json_t *row;
	size_t i;

	json_array_foreach (list, i, row) {
		struct target *t = &targets[*n];
		int r;

		if (!stats_wants(row, in))
			continue;
		t->id = json_string_value(json_object_get(row, "id"));
		t->name = json_string_value(json_object_get(row, "name"));
		t->stopped = !stats_runs(row);
		if (t->stopped) {
			t->worker = (struct arrow_worker){.in = -1, .out = -1, .words = -1};
			++*n;
			continue;
		}
		r = arrow_worker_start(paths, t->id, argv, 0, &t->worker, error);
		if (r == 0 && fcntl(t->worker.out, F_SETFL, O_NONBLOCK) < 0)
			r = arrow_fail(error, errno, "cannot read from an Arrow: %m");
		if (r < 0 && in->arrows.n > 0)
			return r;
		if (r < 0) /* it has ended meanwhile */
			arrow_error_clear(error);
		else
			++*n;
	}
	return *n < in->arrows.n ? arrow_fail(error, ESRCH,
					   "not all of the given Arrows exist and are running")
				 : 0;
}

/*
 * Waits until all have answered, so often, or time is up. Returns how many still run.
 *   p: room for n
 */
static size_t stats_wait(struct target *targets, struct pollfd *p, size_t n, unsigned int answers)
{
	uint64_t deadline = now_ms() + (answers > 1 ? FIRST_TURN_MS : TURN_MS);
	size_t live, missing;

	for (size_t i = 0; i < n; i++)
		targets[i].fresh = false;
	for (;;) {
		uint64_t now = now_ms();

		live = missing = 0;
		for (size_t i = 0; i < n; i++) {
			p[i] = (struct pollfd){.fd = targets[i].worker.out, .events = POLLIN};
			live += p[i].fd >= 0;
			missing +=
				p[i].fd >= 0 && (!targets[i].fresh || targets[i].answers < answers);
		}
		if (missing == 0 || now >= deadline)
			return live;
		if (poll(p, n, (int)(deadline - now)) < 0 && errno != EINTR)
			return 0;
		for (size_t i = 0; i < n; i++) {
			if (p[i].revents && !stats_read(&targets[i]))
				arrow_worker_stop(&targets[i].worker);
		}
	}
}

static int stats_watch(
	const struct arrow_paths *paths, const struct input *in, struct arrow_error *error)
{
	_cleanup_free_ struct target *targets = NULL;
	_cleanup_free_ struct pollfd *p = NULL;
	json_t *list = NULL;
	size_t n = 0;
	int r = arrow_list(paths, in->all, &list, error), status = 0;

	if (r < 0)
		return r;
	targets = calloc(json_array_size(list) + 1, sizeof(*targets));
	p = calloc(json_array_size(list) + 1, sizeof(*p));
	r = targets && p ? stats_begin(paths, list, in, targets, &n, error)
			 : arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0) {
		size_t live = stats_wait(targets, p, n, 2);

		status = stats_show(targets, n, in, error);
		while (!in->once && status == 0 && live > 0) {
			live = stats_wait(targets, p, n, 1);
			status = stats_show(targets, n, in, error);
		}
	}
	for (size_t i = 0; i < n; i++)
		arrow_worker_stop(&targets[i].worker);
	json_decref(list);
	return r < 0 ? r : status;
}

int cmd_stats(int argc, char **argv)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	struct arrow_paths paths = {0};
	struct input in = {0};
	int status;

	cli_parse(&stats_argp, argc, argv, 0, &in);
	status = cli_paths_init(&paths, &error);
	if (status == 0)
		status = stats_watch(&paths, &in, &error);
	if (status < 0)
		status = cli_error(&error);
	arrow_paths_release(&paths);
	arrow_strings_release(&in.arrows);
	return status;
}
