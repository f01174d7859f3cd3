// SPDX-License-Identifier: Apache-2.0
#include "image/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/io.h"

static void object_free(struct closure_object *o)
{
	free(o->host);
	free(o->guest);
	free(o->name);
	elf_info_release(&o->elf);
	free(o);
}

void closure_release(struct closure *c)
{
	for (size_t i = 0; i < c->object_count; i++)
		object_free(c->objects[i]);
	free(c->objects);
	for (size_t i = 0; i < c->probe_count; i++)
		free(c->probes[i].path);
	free(c->probes);
	*c = (struct closure){0};
}

int closure_add_probe(struct closure *c, const char *path, const struct stat *st)
{
	struct closure_probe *probes =
		reallocarray(c->probes, c->probe_count + 1, sizeof(*c->probes));
	struct closure_probe *p;

	if (!probes)
		return -ENOMEM;
	c->probes = probes;
	p = &probes[c->probe_count];
	p->path = strdup(path);
	if (!p->path)
		return -ENOMEM;
	if (st)
		identity_format(st, p->identity);
	else
		identity_of_path(path, p->identity);
	c->probe_count++;
	return 0;
}

int closure_add_object(struct closure *c, const struct closure_candidate *from,
	struct elf_info *elf, const struct stat *st, struct closure_object **object)
{
	struct closure_object *o = calloc(1, sizeof(*o));
	struct closure_object **objects;

	if (!o) {
		elf_info_release(elf);
		return -ENOMEM;
	}
	o->elf = *elf;
	*elf = (struct elf_info){0};
	o->host = strdup(from->host);
	o->guest = path_normalize(from->guest);
	o->name = strdup(from->name);
	o->loader = from->loader;
	identity_format(st, o->identity);
	o->changed = identity_changed(st);

	objects = reallocarray(c->objects, c->object_count + 1, sizeof(struct closure_object *));
	if (objects)
		c->objects = objects;
	if (!objects || !o->host || !o->guest || !o->name) {
		object_free(o);
		return -ENOMEM;
	}
	c->objects[c->object_count++] = o;
	*object = o;
	return 0;
}
