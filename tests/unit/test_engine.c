// SPDX-License-Identifier: Apache-2.0
/* Which engine is chosen, what it is told, and what it finds. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/choice/choice.h"
#include "engine/jail.h"
#include "util/cleanup.h"
#include "util/io.h"

static int choose(struct arrow_engine_choice *choice, const char *name)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;

	return arrow_engine_choose(choice, name, &arrow_engine_defaults, NULL, &error);
}

static void engines_and_their_modes_are_chosen_by_their_whole_name(void **state)
{
	struct arrow_engine_choice choice;

	assert_int_equal(choose(&choice, "qemu:tcg"), 0);
	assert_string_equal(choice.engine->name, "qemu");
	assert_string_equal(choice.mode->name, "tcg");
	assert_ptr_equal(choice.settings, &arrow_engine_defaults);
	assert_int_equal(choose(&choice, "qem"), -EINVAL);
	assert_int_equal(choose(&choice, "qemux"), -EINVAL);
	assert_int_equal(choose(&choice, ""), -EINVAL);
	assert_int_equal(choose(&choice, "qemu:"), -EINVAL);
	assert_int_equal(choose(&choice, "qemu:tc"), -EINVAL);
	assert_int_equal(choose(&choice, ":tcg"), -EINVAL);
}

static void without_a_name_the_first_mode_that_works_is_chosen(void **state)
{
	struct arrow_engine_choice choice, named;

	assert_int_equal(choose(&choice, NULL), 0);
	assert_ptr_equal(choice.engine, arrow_engines[0]);
	assert_int_equal(choice.mode->needs_kvm, choice.kvm.usable);
	assert_int_equal(choose(&named, "qemu"), 0);
	assert_ptr_equal(named.mode, choice.mode);
	assert_int_equal(choose(&named, "qemu:kvm"), choice.kvm.usable ? 0 : -ENODEV);
}

/* What the code above the border relies on. */
static void every_mode_says_what_it_takes(void **state)
{
	for (size_t e = 0; arrow_engines[e]; e++) {
		assert_non_null(arrow_engines[e]->modes[0].name);
		for (const struct arrow_engine_mode *m = arrow_engines[e]->modes; m->name; m++) {
			assert_true(m->overhead > 0);
			assert_true(m->shares_max <= ARROW_JAIL_MOUNTS);
			if (m->can & ARROW_ENGINE_FORKS)
				assert_true(m->can & ARROW_ENGINE_TEMPLATES);
		}
	}
}

static void the_program_is_the_one_of_the_settings(void **state)
{
	char dir[] = "/tmp/arrow-engine.XXXXXX";
	_cleanup_free_ char *program = NULL, *found = NULL, *rom = NULL, *again = NULL;
	struct arrow_engine_settings settings = arrow_engine_defaults;
	const struct arrow_engine *engine = arrow_engines[0];
	bool own = true;

	assert_non_null(mkdtemp(dir));
	program = path_format("%s/qemu", dir);
	rom = path_format("%s/qboot.rom", dir);
	settings.qemu = program;
	assert_null(engine->find(&settings, &own));
	assert_int_equal(write_file_atomic(AT_FDCWD, program, 0755, "", 0), 0);
	/* The environment has no say. */
	assert_int_equal(setenv("ARROW_QEMU", "/nonexistent", 1), 0);
	found = engine->find(&settings, &own);
	assert_string_equal(found, program);
	assert_false(own);
	/* A microvm has eight transports, and the serial port takes one. */
	assert_int_equal(engine->devices_max(&settings), 7);
	/* One with its firmware beside it was built for Arrow. */
	assert_int_equal(write_file_atomic(AT_FDCWD, rom, 0644, "", 0), 0);
	again = engine->find(&settings, &own);
	assert_string_equal(again, program);
	assert_true(own);
	/* Room for a disk and all networks. */
	assert_int_equal(engine->devices_max(&settings), 16);
	unsetenv("ARROW_QEMU");
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

static void ids_of_jails_are_never_those_of_people(void **state)
{
	assert_int_equal(arrow_jail_uid_base(arrow_engine_defaults.jail_uid_base), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0x60000000), 0x60000000);
	assert_int_equal(arrow_jail_uid_base(0x10000), 0x10000);
	assert_int_equal(arrow_jail_uid_base(0xffff), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0xffffffff), 0x70000000);
	assert_int_equal(arrow_jail_uid_base(0x100000000 + 0x60000000), 0x70000000);
}

/* The file that stands in for /dev/kvm, in a root that may make no device nodes. */
#define KVM_GROUP 4711

/* In the jail, where hardly a system call is left: what it sees of /dev/kvm. */
static int look_at_kvm(void)
{
	char byte;
	int fd = open("/dev/kvm", O_RDWR);

	return fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'K' ? 0 : 20;
}

static int enter_jail_with_kvm(const char *root)
{
	struct arrow_jail jail = {.root = root,
		.userns_fd = -1,
		.kvm = true,
		.uid_base = arrow_engine_defaults.jail_uid_base,
		.ram_fd = -1,
		.ram_socket = -1,
		.write_fd = -1};
	_cleanup_close_ int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0);
	const char *what = "";
	int status, r;
	pid_t pid;

	pid = arrow_jail_fork(&jail);
	if (pid == 0) {
		r = arrow_jail_enter(&jail, keeper, &what);
		if (r < 0)
			dprintf(2, "# the jail cannot %s: %s\n", what, strerror(-r));
		_exit(r < 0 ? 10 : look_at_kvm());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 11;
	return WEXITSTATUS(status);
}

/* Root in a user namespace, as in a container: it mounts, and makes no devices. */
static int run_as_root_of_a_container(const char *root, int go)
{
	char byte;
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || write(go, "U", 1) != 1 ||
		read(go, &byte, 1) != 1 || byte != 'G')
		return 77;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("test", "/dev", "tmpfs", 0, NULL) < 0)
		return 77;
	fd = open("/dev/kvm", O_WRONLY | O_CREAT | O_EXCL, 0660);
	if (fd < 0 || write(fd, "K", 1) != 1 || fchown(fd, 0, KVM_GROUP) < 0 ||
		fchmod(fd, 0660) < 0)
		return 12;
	return enter_jail_with_kvm(root);
}

static bool map_all_ids(pid_t pid)
{
	static const char *const files[] = {"uid_map", "gid_map"};

	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *path = path_format("/proc/%d/%s", (int)pid, files[i]);
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0 0 4294967295", 14) != 14)
			return false;
	}
	return true;
}

static void a_root_that_may_make_no_devices_takes_the_hosts_kvm(void **state)
{
	static const char *const places[] = {"proc/self", "dev", "etc"};
	char root[] = "/tmp/arrow-engine.XXXXXX", byte;
	_cleanup_free_ char *kvm = NULL;
	int pair[2], status;
	bool ready;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(root));
	assert_int_equal(chmod(root, 0755), 0);
	for (size_t i = 0; i < 3; i++) {
		_cleanup_free_ char *path = path_format("%s/%s", root, places[i]);

		assert_int_equal(mkdir_all(path, 0755), 0);
	}
	kvm = path_format("%s/dev/kvm", root);
	assert_int_equal(write_file_atomic(AT_FDCWD, kvm, 0444, "", 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		_exit(run_as_root_of_a_container(root, pair[1]));
	}
	close(pair[1]);
	ready = read(pair[0], &byte, 1) == 1 && map_all_ids(pid) && write(pair[0], "G", 1) == 1;
	close(pair[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(remove_tree(AT_FDCWD, root), 0);
	assert_true(WIFEXITED(status));
	if (!ready || WEXITSTATUS(status) == 77)
		skip(); /* no user namespaces here */
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * A zygote that takes a request and breaks off: what it was given it has written to, and it never
 * says which process the copy is. Exits with 0 if it was not told to let the copy run.
 */
static int break_off(int listener)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(32 * sizeof(int))];
	} control;
	char name[128];
	struct iovec part = {name, sizeof(name)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fds[2], fd = accept(listener, NULL, NULL);

	if (fd < 0 || recvmsg(fd, &message, 0) <= 0 || !CMSG_FIRSTHDR(&message))
		return 2;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
	if (write(fds[0], "words of a copy\n", 16) != 16 ||
		write(fds[1], "{\"event\":\"STOP\"}\n", 17) != 17 || write(fd, "-", 1) != 1)
		return 3;
	/* Until it is given up. */
	return read(fd, name, 1) == 0 ? 0 : 4;
}

static int listen_as_zygote(const char *dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/zygote", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Runs its events until it ends. */
static void wait_for_end(struct arrow_vm *vm)
{
	for (;;) {
		struct pollfd p[ARROW_VM_FDS];

		for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
			p[i] = (struct pollfd){vm->fds[i], POLLIN, 0};
		assert_true(poll(p, ARROW_VM_FDS, 60000) > 0);
		for (unsigned int i = 0; i < ARROW_VM_FDS; i++)
			if (p[i].revents && vm->engine->handle(vm, i) == ARROW_VM_ENDED)
				return;
	}
}

static void a_zygote_that_breaks_off_leaves_nothing_to_the_next_process(void **state)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	char dir[] = "/tmp/arrow-engine.XXXXXX";
	_cleanup_free_ char *program = NULL, *rom = NULL, *lock = NULL;
	_cleanup_close_ int ram = memfd_create("ram", MFD_CLOEXEC), lock_fd = -1, listener = -1;
	_cleanup_close_ int device_state = memfd_create("state", MFD_CLOEXEC);
	struct arrow_engine_settings settings = arrow_engine_defaults;
	struct arrow_engine_choice choice;
	int channel[2], console[2], status;
	struct arrow_vm *vm = NULL;
	pid_t zygote;

	/* One that counts as Arrow's own; it is not in the jail, so it cannot be executed. */
	assert_non_null(mkdtemp(dir));
	program = path_format("%s/qemu", dir);
	rom = path_format("%s/qboot.rom", dir);
	lock = path_format("%s/zygote.lock", dir);
	assert_int_equal(write_file_atomic(AT_FDCWD, program, 0755, "", 0), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, rom, 0644, "", 0), 0);
	settings.qemu = program;
	assert_int_equal(arrow_engine_choose(&choice, "qemu:tcg", &settings, NULL, &error), 0);
	/* Nobody starts another zygote. */
	lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(lock_fd, LOCK_EX), 0);
	listener = listen_as_zygote(dir);
	zygote = fork();
	if (zygote == 0)
		_exit(break_off(listener));

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), 0);
	assert_int_equal(choice.engine->start(&vm,
				 &(struct arrow_vm_config){.name = "one",
					 .kernel_fd = -1,
					 .initrd_fd = -1,
					 .append = "",
					 .memory = 64u << 20,
					 .vcpus = 1,
					 .jail_root = dir,
					 .channel_fd = channel[1],
					 .console_fd = console[1],
					 .share_fd = console[1],
					 .origin = ARROW_VM_CLONE,
					 .ram_fd = ram,
					 .state_fd = device_state,
					 .code_fd = -1,
					 .cache_dir = dir,
					 .userns_fd = -1,
					 .mode = choice.mode,
					 .settings = &settings},
				 &error),
		0);
	assert_int_equal(waitpid(zygote, &status, 0), zygote);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	wait_for_end(vm);
	assert_non_null(vm->ended);
	assert_null(strstr(vm->ended, "words of a copy"));
	assert_false(vm->paused);
	choice.engine->free(vm);
	for (size_t i = 0; i < 2; i++) {
		close(channel[i]);
		close(console[i]);
	}
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_and_their_modes_are_chosen_by_their_whole_name),
		cmocka_unit_test(without_a_name_the_first_mode_that_works_is_chosen),
		cmocka_unit_test(every_mode_says_what_it_takes),
		cmocka_unit_test(the_program_is_the_one_of_the_settings),
		cmocka_unit_test(a_zygote_that_breaks_off_leaves_nothing_to_the_next_process),
		cmocka_unit_test(ids_of_jails_are_never_those_of_people),
		cmocka_unit_test(a_root_that_may_make_no_devices_takes_the_hosts_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
