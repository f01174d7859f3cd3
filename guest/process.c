// SPDX-License-Identifier: Apache-2.0
#include "guest/process.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* The kernel hands out memory that it lacks, and would then end the VM: better to refuse the job.
 */
static bool process_find_memory(size_t size)
{
	struct sysinfo info;

	if (size <= ARROW_FRAME_MAX) /* every VM has that */
		return true;
	return sysinfo(&info) == 0 && size < (uint64_t)info.freeram * info.mem_unit / 2;
}

uint8_t *records_room(struct records *records, size_t max, size_t *size)
{
	size_t room = records->room ? records->room * 2 : ARROW_FRAME_MAX;

	if (records->size == records->room && room <= max && process_find_memory(room)) {
		uint8_t *more = realloc(records->data, room + 1); /* one for the last NUL */

		if (more) {
			records->data = more;
			records->room = room;
		}
	}
	*size = records->room - records->size;
	if (*size > 0)
		return records->data + records->size;
	records->overflow = true;
	return NULL;
}

bool process_is_finished(const struct process *p)
{
	return p->used && !p->alive && !p->tell_start && !p->tell_exit && p->out[0].fd < 0 &&
	       p->out[1].fd < 0 && !p->out[0].tell && !p->out[1].tell;
}

struct process *process_vacant(struct process *table, uint32_t number)
{
	struct process *p;

	if (number <= PROGRAM || number > ARROW_PROCESSES)
		return NULL;
	p = &table[number - 1];
	if (process_is_finished(p))
		*p = (struct process){0};
	return p->used || p->failure ? NULL : p;
}

static void process_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void process_close_input(struct process *p)
{
	struct input *in = &p->in;

	if (p->tty < 0)
		process_close_fd(&in->fd);
	in->fd = -1;
	in->length = 0;
	in->passed = 0;
	if (in->ring)
		munmap(in->ring, ARROW_WINDOW);
	in->ring = NULL;
}

void process_close_streams(struct process *p)
{
	process_close_input(p);
	for (int i = 0; i < 2; i++)
		process_close_fd(&p->out[i].fd); /* out[0] of a terminal is its master */
	process_close_fd(&p->slave);
	p->tty = -1;
}
