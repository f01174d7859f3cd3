// SPDX-License-Identifier: Apache-2.0
/* The qemu engine's own formats: QMP, which comes from another process, and the command line. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/qemu/command.h"
#include "engine/qemu/qemu.h"
#include "engine/qemu/qmp.h"

struct peer {
	struct qmp qmp;
	int fd; /* QEMU's end */
};

static void open_peer(struct peer *p, int incoming)
{
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	assert_int_equal(qmp_init(&p->qmp, s[0], incoming, QMP_DEVICES), 0);
	p->fd = s[1];
}

static void close_peer(struct peer *p)
{
	qmp_release(&p->qmp);
	if (p->fd >= 0)
		close(p->fd);
}

static void say(struct peer *p, const char *text)
{
	assert_int_equal(write(p->fd, text, strlen(text)), strlen(text));
}

/* What the engine wrote to QEMU. */
static void heard(struct peer *p, char *text, size_t size)
{
	ssize_t n = recv(p->fd, text, size - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
}

static void answers_are_counted_however_they_are_cut(void **state)
{
	static const char text[] =
		"{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n"
		"{\"event\": \"RESUME\"}\r\n"
		"{\"return\": {\"status\": \"running\"}, \"id\": \"status\"}\r\n";
	struct peer p;

	open_peer(&p, -1);
	qmp_ask(&p.qmp);
	assert_int_equal(p.qmp.asked, 1);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(write(p.fd, text + i, 1), 1);
		assert_int_equal(p.qmp.answered, 0);
		assert_int_equal(qmp_read(&p.qmp), 0);
	}
	assert_int_equal(p.qmp.answered, 1);
	assert_null(p.qmp.error);
	close_peer(&p);
}

static void the_session_of_a_clone_is_opened_without_waiting(void **state)
{
	char text[2048];
	struct peer p;

	open_peer(&p, 7);
	heard(&p, text, sizeof(text));
	assert_non_null(strstr(text, "qmp_capabilities"));
	assert_non_null(strstr(text, "x-ignore-shared"));
	assert_non_null(strstr(text, "\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:7\"}"));
	close_peer(&p);
}

static void a_save_ends_with_its_event_or_with_an_error(void **state)
{
	struct peer p;

	open_peer(&p, -1);
	assert_int_equal(qmp_save(&p.qmp, p.fd, QMP_DEVICES), 0);
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_false(p.qmp.saved);
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_false(p.qmp.saved); /* it cannot go on yet */
	say(&p, "{\"return\": {\"status\": \"finish-migrate\"}, \"id\": \"final\"}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_false(p.qmp.saved);
	say(&p, "{\"return\": {\"status\": \"postmigrate\"}, \"id\": \"final\"}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_true(p.qmp.saved);
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"failed\"}}\n"
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no room\"}}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_string_equal(p.qmp.error, "no room");
	close_peer(&p);
}

static void a_vm_is_paused_when_qemu_says_so(void **state)
{
	char text[2048];
	struct peer p;

	open_peer(&p, -1);
	qmp_stop(&p.qmp);
	heard(&p, text, sizeof(text));
	assert_non_null(strstr(text, "\"stop\""));
	assert_false(p.qmp.paused);
	say(&p, "{\"return\": {}}\n{\"event\": \"STOP\"}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_true(p.qmp.paused);
	assert_int_equal(qmp_save(&p.qmp, p.fd, QMP_WHOLE), 0);
	heard(&p, text, sizeof(text)); /* what carries the descriptor comes by itself */
	heard(&p, text, sizeof(text));
	assert_non_null(strstr(text, "\"x-ignore-shared\",\"state\":false"));
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\n"
		"{\"return\": {\"status\": \"postmigrate\"}, \"id\": \"final\"}\n"
		"{\"event\": \"RESUME\"}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_true(p.qmp.saved);
	assert_false(p.qmp.paused);
	heard(&p, text, sizeof(text));
	assert_null(strstr(text, "\"cont\"")); /* nobody asked it to go on */
	close_peer(&p);
}

static void a_restored_vm_goes_on_once_it_is_loaded(void **state)
{
	char text[2048];
	struct peer p;

	open_peer(&p, 7);
	p.qmp.go_on = true;
	heard(&p, text, sizeof(text));
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	heard(&p, text, sizeof(text));
	assert_string_equal(text, "");
	say(&p, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	heard(&p, text, sizeof(text));
	assert_non_null(strstr(text, "\"cont\""));
	close_peer(&p);
}

static void nonsense_is_refused(void **state)
{
	static const char *const bad[] = {"x\n", "[1]\n", "\"text\"\n", "{\"a\":\n", "\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct peer p;

		open_peer(&p, -1);
		say(&p, bad[i]);
		assert_int_equal(qmp_read(&p.qmp), -EPROTO);
		close_peer(&p);
	}
}

static void odd_objects_do_no_harm(void **state)
{
	struct peer p;

	open_peer(&p, -1);
	say(&p, "{}\n{\"error\": 1}\n{\"event\": {}}\n{\"event\": \"MIGRATION\", \"data\": 3}\n"
		"{\"id\": 5, \"return\": []}\n");
	assert_int_equal(qmp_read(&p.qmp), 0);
	assert_int_equal(p.qmp.answered, 0);
	close_peer(&p);
}

static void a_line_without_end_is_refused(void **state)
{
	char block[4096];
	struct peer p;
	int r = 0;

	memset(block, ' ', sizeof(block));
	open_peer(&p, -1);
	for (size_t i = 0; i <= QMP_LINE_MAX / sizeof(block) && r == 0; i++) {
		assert_int_equal(write(p.fd, block, sizeof(block)), sizeof(block));
		r = qmp_read(&p.qmp);
	}
	assert_int_equal(r, -EPROTO);
	close_peer(&p);
}

static void the_end_is_told(void **state)
{
	struct peer p;

	open_peer(&p, -1);
	close(p.fd);
	p.fd = -1;
	assert_int_equal(qmp_read(&p.qmp), -EPIPE);
	qmp_ask(&p.qmp); /* and no SIGPIPE */
	close_peer(&p);
}

static const struct arrow_engine_mode *mode_of(const char *name)
{
	const struct arrow_engine_mode *m = arrow_engine_qemu.modes;

	while (m->name && strcmp(m->name, name) != 0)
		m++;
	assert_non_null(m->name);
	return m;
}

static struct arrow_vm_config config_of_one(void)
{
	static const struct arrow_disk disk = {.fd = 11};

	return (struct arrow_vm_config){.name = "n",
		.kernel_fd = 5,
		.initrd_fd = 6,
		.append = "quiet",
		.memory = 64u << 20,
		.vcpus = 1,
		.disks = &disk,
		.n_disks = 1,
		.channel_fd = 8,
		.console_fd = 9,
		.share_fd = -1,
		.userns_fd = -1,
		.mode = mode_of("tcg"),
		.settings = &arrow_engine_defaults};
}

static const struct qemu_program qemu = {.path = (char *)"/bin/qemu-system-x86_64"};
static const struct qemu_program own_qemu = {
	.path = (char *)"/own/qemu-system-x86_64", .firmware = (char *)"/own", .own = true};

/* The words of a command line with a blank before and behind each. */
static char *joined_of(const struct qemu_program *program, const struct arrow_vm_config *config)
{
	struct qemu_command command;
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	assert_int_equal(qemu_command_build(&command, program, config,
				 &(struct qemu_ends){.qmp_fd = 10, .blocks_fd = -1}),
		0);
	f = open_memstream(&text, &size);
	fputc(' ', f);
	for (size_t i = 0; command.argv[i]; i++)
		fprintf(f, "%s ", command.argv[i]);
	fclose(f);
	qemu_command_release(&command);
	return text;
}

static char *joined(const struct arrow_vm_config *config)
{
	return joined_of(&qemu, config);
}

static void a_vm_has_only_what_it_needs(void **state)
{
	struct arrow_vm_config config = config_of_one();
	char *text = joined(&config);

	assert_non_null(strstr(text, " -M microvm,acpi=off"));
	assert_non_null(strstr(text, " -m 64M "));
	assert_non_null(strstr(text, " -sandbox on,"));
	assert_non_null(strstr(text, " -nodefaults "));
	assert_non_null(strstr(text, "virtio-blk-device,drive=d0 "));
	assert_non_null(strstr(text, "nolapic_timer"));
	assert_null(strstr(text, "9p"));
	assert_null(strstr(text, "net"));
	assert_null(strstr(text, "memory-backend-file"));
	assert_non_null(strstr(text, "memory-backend-ram,id=ram,size=64M"));
	free(text);
}

static void kvm_has_the_hosts_cpu_and_several_vcpus_their_own_timers(void **state)
{
	struct arrow_vm_config config = config_of_one();
	char *text;

	config.mode = mode_of("kvm");
	config.vcpus = 3;
	text = joined(&config);
	assert_non_null(strstr(text, " -accel kvm "));
	assert_non_null(strstr(text, " -cpu host "));
	assert_non_null(strstr(text, " -smp 3 "));
	assert_null(strstr(text, "nolapic_timer"));
	free(text);
	config.mode = mode_of("tcg");
	text = joined(&config);
	assert_null(strstr(text, "nolapic_timer"));
	free(text);
}

static void a_template_has_the_devices_of_its_clones_and_nothing_behind_them(void **state)
{
	const struct arrow_disk none = {.fd = -1};
	struct arrow_vm_config config = config_of_one();
	char *text;

	config.origin = ARROW_VM_TEMPLATE;
	config.ram_fd = 20;
	config.state_fd = 21;
	config.disks = &none;
	text = joined(&config);
	assert_non_null(strstr(text, "mem-path=/proc/self/fd/20,share=on"));
	assert_non_null(strstr(text, "driver=null-co,node-name=d0,read-only=on"));
	assert_null(strstr(text, "-incoming"));
	/* Its clones are idle for longer than the PIT can count. */
	assert_non_null(strstr(text, "no_timer_check"));
	assert_null(strstr(text, "nolapic_timer"));
	free(text);

	config = config_of_one();
	config.origin = ARROW_VM_CLONE;
	config.ram_fd = 20;
	config.state_fd = 21;
	text = joined(&config);
	assert_non_null(strstr(text, "mem-path=/proc/self/fd/20,share=off"));
	assert_non_null(strstr(text, "file.filename=/proc/self/fd/11"));
	assert_non_null(strstr(text, " -incoming defer "));
	assert_null(strstr(text, "nolapic_timer"));
	free(text);
}

static void a_saved_vm_is_converted_in_a_file_and_restored_from_it(void **state)
{
	struct arrow_vm_config config = config_of_one();
	char *text;

	config.origin = ARROW_VM_CONVERT;
	config.kernel_fd = config.initrd_fd = -1;
	config.ram_fd = 20;
	config.state_fd = 21;
	config.stream_fd = 22;
	assert_int_equal(qemu_incoming_fd(&config), 22);
	text = joined(&config);
	assert_non_null(strstr(text, "mem-path=/proc/self/fd/20,share=on"));
	assert_non_null(strstr(text, " -incoming defer "));
	assert_null(strstr(text, "-kernel"));
	free(text);

	config.origin = ARROW_VM_RESTORED;
	assert_int_equal(qemu_incoming_fd(&config), 21);
	text = joined(&config);
	assert_non_null(strstr(text, "mem-path=/proc/self/fd/20,share=off"));
	free(text);
}

static void with_debians_all_shares_are_one_device(void **state)
{
	const struct arrow_share shares[] = {{.fd = 31, .read_only = true},
		{.fd = 32, .read_only = true, .file = true}, {.fd = 30}};
	struct arrow_vm_config config = config_of_one();
	char *text = joined(&config);

	assert_null(strstr(text, "9p"));
	free(text);
	config.shares = shares;
	config.n_shares = 3;
	text = joined(&config);
	assert_non_null(strstr(text,
		"local,id=volumes,path=/volumes,security_model=passthrough,multidevs=remap "
		"-device virtio-9p-device,fsdev=volumes,mount_tag=volumes "));
	assert_null(strstr(strstr(text, "virtio-9p-device") + 1, "virtio-9p-device"));
	free(text);
	/* The jail's mounts are what forbids; QEMU helps where it can. */
	config.n_shares = 2;
	text = joined(&config);
	assert_non_null(strstr(text, "multidevs=remap,readonly=on "));
	free(text);
}

static void arrows_has_a_channel_to_volumes_whether_there_are_any_or_not(void **state)
{
	struct arrow_vm_config config = config_of_one();
	char *text = joined(&config);

	assert_null(strstr(text, "virtio-fs-socket-device"));
	free(text);
	text = joined_of(&own_qemu, &config);
	assert_non_null(strstr(text, " -device virtio-fs-socket-device,tag=volumes,fd=-1 "));
	free(text);
	config.share_fd = 33;
	text = joined_of(&own_qemu, &config);
	assert_non_null(strstr(text, " -device virtio-fs-socket-device,tag=volumes,fd=33 "));
	assert_null(strstr(text, "9p"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_counted_however_they_are_cut),
		cmocka_unit_test(the_session_of_a_clone_is_opened_without_waiting),
		cmocka_unit_test(a_save_ends_with_its_event_or_with_an_error),
		cmocka_unit_test(a_vm_is_paused_when_qemu_says_so),
		cmocka_unit_test(a_restored_vm_goes_on_once_it_is_loaded),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(odd_objects_do_no_harm),
		cmocka_unit_test(a_line_without_end_is_refused),
		cmocka_unit_test(the_end_is_told),
		cmocka_unit_test(a_vm_has_only_what_it_needs),
		cmocka_unit_test(kvm_has_the_hosts_cpu_and_several_vcpus_their_own_timers),
		cmocka_unit_test(a_template_has_the_devices_of_its_clones_and_nothing_behind_them),
		cmocka_unit_test(a_saved_vm_is_converted_in_a_file_and_restored_from_it),
		cmocka_unit_test(with_debians_all_shares_are_one_device),
		cmocka_unit_test(arrows_has_a_channel_to_volumes_whether_there_are_any_or_not),
	};

	return cmocka_run_group_tests_name("qemu", tests, NULL, NULL);
}
