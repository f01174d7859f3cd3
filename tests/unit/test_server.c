// SPDX-License-Identifier: Apache-2.0
/* The server of volumes in its jail: it serves what is mounted there, and its end is told. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/keeper/server.h"
#include "core/template/jailroot.h"
#include "engine/jail.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DEADLINE_MS 60000

struct world {
	char dir[64];
	char *root;
	struct arrow_share share;
	struct server server;
	int channel;
	uint64_t unique;
	char data[8192]; /* of the last reply */
};

static void begin(struct world *w)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	_cleanup_free_ char *store = NULL, *volume = NULL, *file = NULL;
	struct server_config config = {.shares = &w->share,
		.n_shares = 1,
		.userns_fd = -1,
		.uid_base = ARROW_JAIL_UID_BASE};
	int channel[2];

	*w = (struct world){.dir = "/var/tmp/arrow-unit-XXXXXX", .server = SERVER_INIT};
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	store = path_format("%s/store", w->dir);
	volume = path_format("%s/volume", w->dir);
	file = path_format("%s/volume/one", w->dir);
	assert_int_equal(mkdir(volume, 0755), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, file, 0644, "hello", 5), 0);
	assert_int_equal(arrow_jail_server_root(store, &w->root, &error), 0);
	w->share.fd = open(volume, O_PATH | O_CLOEXEC);
	assert_true(w->share.fd >= 0);
	config.root = w->root;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	assert_int_equal(server_start(&w->server, &config, channel[1], &error), 0);
	close(channel[1]);
	w->channel = channel[0];
}

static void end(struct world *w)
{
	server_end(&w->server);
	close(w->channel);
	close(w->share.fd);
	free(w->root);
	assert_int_equal(remove_tree(AT_FDCWD, w->dir), 0);
}

/* Returns the size of the reply, which is in w->data, or the error of it. */
static int ask(struct world *w, uint32_t opcode, uint64_t node, const void *argument, size_t size)
{
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + size),
		.opcode = opcode,
		.unique = ++w->unique,
		.nodeid = node,
		.uid = 12,
		.gid = 34,
		.pid = 1};
	struct fuse_out_header out;

	assert_int_equal(write_full(w->channel, &in, sizeof(in)), 0);
	assert_int_equal(write_full(w->channel, argument, size), 0);
	assert_int_equal(read_full(w->channel, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.unique, w->unique);
	assert_in_range(out.len, sizeof(out), sizeof(out) + sizeof(w->data));
	assert_int_equal(
		read_full(w->channel, w->data, out.len - sizeof(out)), out.len - sizeof(out));
	return out.error ? out.error : (int)(out.len - sizeof(out));
}

static void open_session(struct world *w)
{
	const struct fuse_init_in init = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};

	assert_true(ask(w, FUSE_INIT, 0, &init, sizeof(init)) > 0);
}

static uint64_t look_up(struct world *w, uint64_t parent, const char *name)
{
	int r = ask(w, FUSE_LOOKUP, parent, name, strlen(name) + 1);

	assert_true(r >= (int)sizeof(struct fuse_entry_out));
	return ((struct fuse_entry_out *)(void *)w->data)->nodeid;
}

static bool can_jail(void)
{
	bool namespaces, own_user;

	arrow_jail_probe(&namespaces, &own_user);
	return namespaces && own_user;
}

static void a_volume_is_served_as_the_user_who_asks(void **state)
{
	struct {
		struct fuse_create_in in;
		char name[8];
	} create = {{.flags = O_WRONLY | O_CREAT, .mode = S_IFREG | 0640}, "two"};
	struct fuse_open_in open_in = {.flags = O_RDONLY};
	struct fuse_read_in read_in = {.size = 100};
	_cleanup_free_ char *file = NULL;
	struct world w;
	struct stat st;
	uint64_t volume, one;

	if (!can_jail())
		skip();
	begin(&w);
	open_session(&w);
	volume = look_up(&w, FUSE_ROOT_ID, "0");
	one = look_up(&w, volume, "one");
	assert_true(ask(&w, FUSE_OPEN, one, &open_in, sizeof(open_in)) > 0);
	read_in.fh = ((struct fuse_open_out *)(void *)w.data)->fh;
	assert_int_equal(ask(&w, FUSE_READ, one, &read_in, sizeof(read_in)), 5);
	assert_memory_equal(w.data, "hello", 5);
	/* Beside the volumes there is nothing to be made. */
	assert_int_equal(ask(&w, FUSE_MKDIR, FUSE_ROOT_ID, "\355\1\0\0\0\0\0\0breach", 15), -EROFS);
	/* The volume belongs to root: what the guest's kernel lets happen is done as its user. */
	assert_true(ask(&w, FUSE_CREATE, volume, &create, sizeof(create.in) + 4) > 0);
	file = path_format("%s/volume/two", w.dir);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	end(&w);
}

static void await_end(struct world *w)
{
	struct pollfd p = {.fd = w->server.pid_fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_true(server_has_ended(&w->server));
	assert_int_equal(w->server.pid, 0);
	assert_int_equal(w->server.pid_fd, -1);
}

static void its_end_is_told_unless_the_vm_has_hung_up(void **state)
{
	struct world w;

	if (!can_jail())
		skip();
	begin(&w);
	open_session(&w);
	assert_false(server_has_ended(&w.server));
	assert_int_equal(kill(w.server.pid, SIGKILL), 0);
	await_end(&w);
	assert_string_equal(w.server.why, "it was killed by signal 9 (Killed)");
	assert_false(server_has_ended(&w.server));
	end(&w);

	begin(&w);
	open_session(&w);
	assert_int_equal(shutdown(w.channel, SHUT_RDWR), 0);
	await_end(&w);
	assert_string_equal(w.server.why, "");
	end(&w);
}

static void what_it_says_before_it_gives_up_is_told(void **state)
{
	_cleanup_free_ char *program = NULL;
	struct world w;

	if (!can_jail())
		skip();
	begin(&w);
	server_end(&w.server);
	program = path_format("%s" ARROW_JAIL_SERVER, w.root);
	assert_int_equal(unlink(program), 0);
	{
		_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
		const struct server_config config = {.root = w.root,
			.shares = &w.share,
			.n_shares = 1,
			.userns_fd = -1,
			.uid_base = ARROW_JAIL_UID_BASE};

		assert_int_equal(server_start(&w.server, &config, w.channel, &error), 0);
	}
	await_end(&w);
	assert_string_equal(w.server.why, "cannot run /arrow-fs: No such file or directory");
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_is_served_as_the_user_who_asks),
		cmocka_unit_test(its_end_is_told_unless_the_vm_has_hung_up),
		cmocka_unit_test(what_it_says_before_it_gives_up_is_told),
	};

	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
