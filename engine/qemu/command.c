// SPDX-License-Identifier: Apache-2.0
/*
 * The machine.
 *
 * acpi=off   puts the virtio-mmio devices on the kernel command line; the kernels have no ACPI.
 * isa-serial is the early console: it speaks before any driver, so a panic is always heard.
 * rtc=on     a serial port without a clock costs the kernel a second of waiting for the CMOS.
 * x-option-roms=off  the firmware loads the kernel by itself, without a ROM for it.
 * -no-reboot a guest ends by asking for a reboot: microvm has no power-off without ACPI.
 */
#include "engine/qemu/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/jail.h"
#include "protocol/protocol.h"
#include "util/cleanup.h"

/* Room for the name of a forked one. */
#define TITLE_SIZE 100

/*
 * Messages in English; and one heap for all threads, that grows by more than it is asked for: that
 * of a vCPU's thread would grow by a page or two, 290 times until a program starts.
 */
char *const qemu_environment[] = {
	(char *)"LC_ALL=C", (char *)"MALLOC_ARENA_MAX=1", (char *)"MALLOC_TOP_PAD_=1048576", NULL};

static void command_add_owned(struct qemu_command *c, char *word)
{
	if (c->failed || !word) {
		c->failed = -ENOMEM;
		free(word);
		return;
	}
	if (c->count + 1 >= c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		char **argv = realloc(c->argv, room * sizeof(*argv));

		if (!argv) {
			c->failed = -ENOMEM;
			free(word);
			return;
		}
		c->argv = argv;
		c->room = room;
	}
	c->argv[c->count++] = word;
	c->argv[c->count] = NULL;
}

static void command_add(struct qemu_command *c, const char *option)
{
	command_add_owned(c, strdup(option));
}

static void command_add_pair(struct qemu_command *c, const char *option, const char *fmt, ...)
	ARROW_PRINTF(3, 4);

/* An option and its value. */
static void command_add_pair(struct qemu_command *c, const char *option, const char *fmt, ...)
{
	char *value = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	va_end(ap);
	command_add(c, option);
	command_add_owned(c, value);
}

int qemu_incoming_fd(const struct arrow_vm_config *config)
{
	switch (config->origin) {
	case ARROW_VM_CLONE:
	case ARROW_VM_RESTORED:
		return config->state_fd;
	case ARROW_VM_CONVERT:
		return config->stream_fd;
	case ARROW_VM_COLD:
	case ARROW_VM_TEMPLATE:
		break;
	}
	return -1;
}

static void command_add_machine(
	struct qemu_command *c, const struct arrow_vm_config *config, const struct qemu_ends *ends)
{
	bool kvm = config->mode->needs_kvm;
	bool makes_file = config->origin == ARROW_VM_TEMPLATE || config->origin == ARROW_VM_CONVERT;

	command_add_pair(c, "-M",
		"microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off,memory-backend=ram");
	if (ends->blocks_fd >= 0)
		command_add_pair(
			c, "-accel", "%s,x-arrow-blocks=%d", config->mode->name, ends->blocks_fd);
	else
		command_add_pair(c, "-accel", "%s", config->mode->name);
	/* The memory of a cold one has the same name, so that it can be saved as a clone can. */
	if (config->origin == ARROW_VM_COLD)
		command_add_pair(c, "-object", "memory-backend-ram,id=ram,size=%lluM",
			(unsigned long long)(config->memory >> 20));
	else
		command_add_pair(c, "-object",
			"memory-backend-file,id=ram,size=%lluM,mem-path=/proc/self/fd/%d,share=%s",
			(unsigned long long)(config->memory >> 20), config->ram_fd,
			makes_file ? "on" : "off");
	if (qemu_incoming_fd(config) >= 0)
		command_add_pair(c, "-incoming", "defer");
	/*
	 * `max` is all that TCG can do: programs built for x86-64-v3 run too. A `rep movsb` that
	 * claims to be fast is a loop of single bytes there; without the claim (ERMS, FSRM) kernel
	 * and C library copy by words, which is five times as fast.
	 */
	command_add_pair(c, "-cpu", "%s", kvm ? "host" : "max,-erms,-fsrm");
	command_add_pair(c, "-m", "%lluM", (unsigned long long)(config->memory >> 20));
	command_add_pair(c, "-smp", "%u", config->vcpus);
	command_add(c, "-nodefaults");
	command_add(c, "-no-user-config");
	command_add(c, "-no-reboot");
	command_add_pair(c, "-display", "none");
	/* One that forks must make processes; those that it makes may not. */
	command_add_pair(c, "-sandbox", "on,obsolete=deny,%s,resourcecontrol=deny",
		ends->forks ? "elevateprivileges=allow,spawn=allow"
			    : "elevateprivileges=deny,spawn=deny");
}

/*
 * What the kernel need not find out. The TSC is the host's, under KVM and TCG: told of its rate,
 * the kernel has a clock of nanoseconds; else it often counts ticks of 10 ms, for QEMU's PIT is too
 * coarse to measure by. Under TCG the timer interrupt works. To calibrate the timer of the local
 * APIC takes a fifth of a second, so a cold start with one vCPU takes the PIT for one. That cannot
 * count beyond 27 ms, and a guest with it wakes for nothing as long as it lives: a template has the
 * time, and its clones sleep.
 */
static void command_tell_kernel(char *words, size_t size, const struct arrow_vm_config *config)
{
	bool tcg = !config->mode->needs_kvm;
	int n = snprintf(words, size, "%s%s", tcg ? " no_timer_check" : "",
		tcg && config->vcpus == 1 && config->origin == ARROW_VM_COLD ? " nolapic_timer"
									     : "");

	if (config->tsc_khz)
		snprintf(words + n, size - (size_t)n, " tsc=reliable tsc_early_khz=%u",
			config->tsc_khz);
}

static void command_add_boot(struct qemu_command *c, const struct arrow_vm_config *config)
{
	char words[128] = "";

	if (config->kernel_fd < 0)
		return;
	command_tell_kernel(words, sizeof(words), config);
	command_add_pair(c, "-kernel", "/proc/self/fd/%d", config->kernel_fd);
	command_add_pair(c, "-initrd", "/proc/self/fd/%d", config->initrd_fd);
	/*
	 * What this machine needs to hear: a panic or a reboot ends QEMU by a triple fault, at
	 * once.
	 */
	command_add_pair(c, "-append", "%s panic=-1 reboot=t earlyprintk=ttyS0,115200,keep%s",
		config->append, words);
}

static void command_add_channels(
	struct qemu_command *c, const struct arrow_vm_config *config, int qmp_fd)
{
	command_add_pair(c, "-chardev", "socket,id=qmp,fd=%d", qmp_fd);
	command_add_pair(c, "-mon", "chardev=qmp,mode=control");
	command_add_pair(c, "-chardev", "socket,id=console,fd=%d", config->console_fd);
	command_add_pair(c, "-serial", "chardev:console");
	command_add_pair(c, "-device", "virtio-serial-device,max_ports=2");
	command_add_pair(c, "-chardev", "socket,id=channel,fd=%d", config->channel_fd);
	command_add_pair(
		c, "-device", "virtserialport,chardev=channel,name=" ARROW_PORT_NAME ",nr=1");
}

static void command_add_disks(struct qemu_command *c, const struct arrow_vm_config *config)
{
	/* The guest numbers virtio-mmio devices in the order of the bus, which QEMU fills from the
	 * top: so the last disk that is added becomes vda. */
	for (unsigned int i = config->n_disks; i-- > 0;) {
		if (config->disks[i].fd < 0)
			command_add_pair(c, "-blockdev",
				"driver=null-co,node-name=d%u,read-only=on,read-zeroes=on,size=%lld",
				i, ARROW_TEMPLATE_DISK);
		else
			command_add_pair(c, "-blockdev",
				"driver=raw,node-name=d%u,read-only=on,file.driver=file,file.locking=off,file.filename=/proc/self/fd/%d",
				i, config->disks[i].fd);
		command_add_pair(c, "-device", "virtio-blk-device,drive=d%u", i);
	}
}

static void command_add_shares(struct qemu_command *c, const struct qemu_program *program,
	const struct arrow_vm_config *config)
{
	bool read_only = true;

	/* Clones of one template have volumes or not: so the device is always there. */
	if (program->own) {
		command_add_pair(c, "-device",
			"virtio-fs-socket-device,tag=" ARROW_SHARES_TAG ",fd=%d", config->share_fd);
		return;
	}
	for (unsigned int i = 0; i < config->n_shares; i++)
		read_only = read_only && config->shares[i].read_only;
	if (config->n_shares == 0)
		return;
	/*
	 * Debian's has only 9p. One device serves all volumes, for there are few of them. In the
	 * jail each is a mount, which is read-only where the volume is. passthrough: owners and
	 * modes of the host are those of the guest. remap: files of several file systems have
	 * different numbers.
	 */
	command_add_pair(c, "-fsdev", "local,id=volumes,path=" ARROW_JAIL_VOLUMES "%s%s",
		",security_model=passthrough,multidevs=remap", read_only ? ",readonly=on" : "");
	command_add_pair(
		c, "-device", "virtio-9p-device,fsdev=volumes,mount_tag=" ARROW_SHARES_TAG);
}

static void command_add_user_nic(
	struct qemu_command *c, const struct arrow_nic *nic, unsigned int index)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f) {
		c->failed = -ENOMEM;
		return;
	}
	fprintf(f, "user,id=n%u", index);
	for (unsigned int i = 0; i < nic->n_forwards; i++)
		fprintf(f, ",hostfwd=%s:%s:%u-:%u", nic->forwards[i].udp ? "udp" : "tcp",
			nic->forwards[i].host, nic->forwards[i].host_port,
			nic->forwards[i].guest_port);
	if (fclose(f) != 0)
		c->failed = -ENOMEM;
	else
		command_add_pair(c, "-netdev", "%s", text);
}

static void command_add_network(struct qemu_command *c, const struct arrow_vm_config *config)
{
	/* The guest numbers them in this order. */
	for (unsigned int i = 0; i < config->n_nics; i++) {
		const struct arrow_nic *nic = &config->nics[i];

		if (nic->kind == ARROW_NIC_USER)
			command_add_user_nic(c, nic, i);
		else
			command_add_pair(c, "-netdev", "%s,id=n%u,fd=%d",
				nic->kind == ARROW_NIC_TAP ? "tap" : "socket", i, nic->fd);
		/*
		 * The guest sets its MAC, which a clone would take from its template. The loader
		 * knows a spare one by that of now.
		 */
		command_add_pair(c, "-device",
			"virtio-net-device,netdev=n%u,mac=02:00:00:00:%02x:%02x", i,
			nic->spare ? ARROW_SPARE_MAC : 0, i & 0xff);
	}
}

/* The last: a forked one overwrites it, and what is left of the room behind shows as nothing. */
static void command_add_name(struct qemu_command *c, const char *name, bool forks)
{
	if (forks)
		command_add_pair(c, "-name", "%-*s", TITLE_SIZE, "arrow-zygote");
	else
		command_add_pair(c, "-name", "arrow-%s", name);
}

int qemu_command_build(struct qemu_command *command, const struct qemu_program *program,
	const struct arrow_vm_config *config, const struct qemu_ends *ends)
{
	memset(command, 0, sizeof(*command));
	command_add(command, program->path);
	if (program->firmware)
		command_add_pair(command, "-L", "%s", program->firmware);
	command_add_machine(command, config, ends);
	command_add_boot(command, config);
	command_add_channels(command, config, ends->qmp_fd);
	command_add_disks(command, config);
	command_add_shares(command, program, config);
	command_add_network(command, config);
	/*
	 * Memory that the guest has no use for goes back to the host. Debian's QEMU would punch
	 * holes into the template for that, see hypervisor/.
	 */
	if (program->own)
		command_add_pair(
			command, "-device", "virtio-balloon-device,free-page-reporting=on");
	command_add_name(command, config->name, ends->forks);
	if (command->failed)
		qemu_command_release(command);
	return command->failed;
}

void qemu_command_release(struct qemu_command *command)
{
	strv_free(command->argv);
	command->argv = NULL;
}
