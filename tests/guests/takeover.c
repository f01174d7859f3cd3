// SPDX-License-Identifier: Apache-2.0
/*
 * Takes over a process of QEMU, as a hole in it would let a guest do: its main thread runs another
 * program from here on, with all that the process has, and under all that holds it. That program is
 * put into its memory, not executed, which a fork of a zygote is forbidden.
 *
 *   takeover PID PROGRAM [ARG]     PROGRAM: linked statically, at a fixed address
 */
#define _GNU_SOURCE
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define STACK (1ul << 20)

static pid_t victim;
static int memory;
static struct user_regs_struct before;
static uint64_t at; /* of an instruction that makes a system call */

static void put(uint64_t address, const void *data, size_t size)
{
	if (pwrite(memory, data, size, (off_t)address) != (ssize_t)size)
		err(1, "cannot write its memory at %lx", (long)address);
}

static void await_stop(void)
{
	int status;

	if (waitpid(victim, &status, __WALL) != victim || !WIFSTOPPED(status))
		errx(1, "it ended");
}

/* Has it make a system call, and returns the result. */
static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct user_regs_struct r = before;

	r.rip = at;
	r.rax = number;
	r.orig_rax = (uint64_t)-1; /* nothing is restarted */
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	r.r9 = 0;
	if (ptrace(PTRACE_SETREGS, victim, NULL, &r) < 0)
		err(1, "cannot set its registers");
	do {
		if (ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL) < 0)
			err(1, "cannot step");
		await_stop();
		if (ptrace(PTRACE_GETREGS, victim, NULL, &r) < 0)
			err(1, "cannot read its registers");
	} while (r.rip == at); /* a signal came first */
	return (int64_t)r.rax;
}

static void stop_it(void)
{
	unsigned char code[2];
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", victim);
	memory = open(path, O_RDWR);
	if (memory < 0 || ptrace(PTRACE_SEIZE, victim, NULL, NULL) < 0 ||
		ptrace(PTRACE_INTERRUPT, victim, NULL, NULL) < 0)
		err(1, "cannot stop %d", victim);
	await_stop();
	if (ptrace(PTRACE_GETREGS, victim, NULL, &before) < 0)
		err(1, "cannot read its registers");
	/* Its main thread waits in a system call, always. */
	at = before.rip - 2;
	if (pread(memory, code, 2, (off_t)at) != 2 || code[0] != 0x0f || code[1] != 0x05)
		errx(1, "it is not in a system call");
}

static void map(uint64_t from, uint64_t to)
{
	int64_t got = call(SYS_mmap, from, to - from, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1);

	if (got != (int64_t)from)
		errx(1, "cannot map %lx: %ld", (long)from, (long)got);
}

static void load(const char *program, const unsigned char *file)
{
	const Elf64_Ehdr *head = (const void *)file;
	const Elf64_Phdr *p = (const void *)(file + head->e_phoff);
	uint64_t low = UINT64_MAX, high = 0;

	if (head->e_type != ET_EXEC)
		errx(1, "%s: not linked at a fixed address", program);
	for (int i = 0; i < head->e_phnum; i++) {
		if (p[i].p_type != PT_LOAD)
			continue;
		low = p[i].p_vaddr < low ? p[i].p_vaddr : low;
		high = p[i].p_vaddr + p[i].p_memsz > high ? p[i].p_vaddr + p[i].p_memsz : high;
	}
	low &= ~(PAGE - 1);
	high = (high + PAGE - 1) & ~(PAGE - 1);
	map(low, high);
	for (int i = 0; i < head->e_phnum; i++)
		if (p[i].p_type == PT_LOAD)
			put(p[i].p_vaddr, file + p[i].p_offset, p[i].p_filesz);
	if (call(SYS_mprotect, low, high - low, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0) != 0)
		errx(1, "cannot make the program executable");
}

int main(int argc, char **argv)
{
	uint64_t stack, words[16] = {0};
	struct user_regs_struct r;
	unsigned char *file;
	struct stat st;
	size_t n = 0;
	int fd;

	if (argc < 3)
		errx(1, "usage: takeover PID PROGRAM [ARG]");
	victim = atoi(argv[1]);
	fd = open(argv[2], O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", argv[2]);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		err(1, "%s", argv[2]);
	stop_it();
	load(argv[2], file);
	stack = (uint64_t)call(SYS_mmap, 0, STACK, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1);
	if ((int64_t)stack < 0)
		errx(1, "cannot map a stack");
	stack += STACK - PAGE;
	put(stack + 256, "taken", 6);
	if (argc > 3)
		put(stack + 272, argv[3], strlen(argv[3]) + 1);
	/* Arguments, no environment, and of the auxiliary vector the size of a page. */
	words[n++] = argc > 3 ? 2 : 1;
	words[n++] = stack + 256;
	if (argc > 3)
		words[n++] = stack + 272;
	words[n++] = 0;
	words[n++] = 0;
	words[n++] = AT_PAGESZ;
	words[n++] = PAGE;
	put(stack, words, sizeof(words));
	r = before;
	r.rip = ((const Elf64_Ehdr *)(const void *)file)->e_entry;
	r.rsp = stack;
	r.rdx = 0;
	r.rax = 0;
	r.orig_rax = (uint64_t)-1;
	if (ptrace(PTRACE_SETREGS, victim, NULL, &r) < 0 ||
		ptrace(PTRACE_DETACH, victim, NULL, NULL) < 0)
		err(1, "cannot let it go");
	return 0;
}
