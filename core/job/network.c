// SPDX-License-Identifier: Apache-2.0
#include "core/job/network.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/job/records.h"
#include "net/names.h"
#include "util/cleanup.h"
#include "util/io.h"

/* The words of a list with blanks between them, or what there is instead. NULL without memory. */
static char *job_join(const struct arrow_strings *list, const char *instead)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f;

	if (list->n == 0)
		return strdup(instead);
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	for (size_t i = 0; i < list->n; i++)
		fprintf(f, "%s%s", i ? " " : "", list->v[i]);
	return fclose(f) == 0 ? STEAL(text) : NULL;
}

void job_add_resolv(
	struct arrow_job *job, const struct arrow_spec *spec, const struct net_attachment *network)
{
	char address[NET_ADDRESS_TEXT];
	_cleanup_free_ char *text = NULL, *search = NULL, *options = NULL;
	size_t size = 0;
	FILE *f;

	if (spec->net.dns.n + spec->net.dns_search.n + spec->net.dns_options.n + network->n_dns ==
		0)
		return;
	search = job_join(&spec->net.dns_search, network->n_cards ? network->host.search : "");
	options = job_join(&spec->net.dns_options, network->n_cards ? network->host.options : "");
	if (!search || !options) {
		job->failed = -ENOMEM;
		return;
	}
	f = open_memstream(&text, &size);
	if (!f) {
		job->failed = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < spec->net.dns.n; i++)
		fprintf(f, "nameserver %s\n", spec->net.dns.v[i]);
	for (unsigned int i = 0; spec->net.dns.n == 0 && i < network->n_dns; i++)
		fprintf(f, "nameserver %s\n", net_address_text(&network->dns[i], false, address));
	/* First, so that the name of an Arrow is never looked for in the other domains. */
	if (*search && strcmp(search, ".") != 0)
		fprintf(f, "search %s%s\n",
			network->names && spec->net.dns.n == 0 ? NET_NAMES_DOMAIN " " : "", search);
	if (*options)
		fprintf(f, "options %s\n", options);
	if (fclose(f) != 0)
		job->failed = -ENOMEM;
	else
		job_add(job, ARROW_JOB_RESOLV, text, size);
}

static void network_add_card(struct arrow_job *job, const struct net_card *card, uint32_t index)
{
	struct arrow_job_nic nic = {.index = index, .mtu = card->mtu};
	uint8_t data[ARROW_JOB_ROUTE_BYTES]; /* the longest */

	memcpy(nic.mac, card->mac, sizeof(nic.mac));
	arrow_record_encode_nic(data, &nic);
	job_add(job, ARROW_JOB_NIC, data, ARROW_JOB_NIC_BYTES);
	for (unsigned int i = 0; i < card->n_addresses; i++) {
		const struct net_address *from = &card->addresses[i];
		struct arrow_job_address a = {
			.index = index, .family = from->family, .prefix = from->prefix};

		memcpy(a.address, from->bytes, sizeof(a.address));
		arrow_record_encode_address(data, &a);
		job_add(job, ARROW_JOB_ADDRESS, data, ARROW_JOB_ADDRESS_BYTES);
	}
	for (unsigned int i = 0; i < card->n_routes; i++) {
		const struct net_route *from = &card->routes[i];
		struct arrow_job_route route = {
			.index = index, .family = from->to.family, .prefix = from->to.prefix};

		memcpy(route.destination, from->to.bytes, sizeof(route.destination));
		if (from->via.family)
			memcpy(route.gateway, from->via.bytes, sizeof(route.gateway));
		arrow_record_encode_route(data, &route);
		job_add(job, ARROW_JOB_ROUTE, data, ARROW_JOB_ROUTE_BYTES);
	}
}

void job_add_network(struct arrow_job *job, const struct net_attachment *network, const char *names)
{
	const struct net_card *first = network->cards, *end = first + network->n_cards;

	for (unsigned int i = 0; i < network->n_cards; i++)
		if (!network->cards[i].idle)
			network_add_card(job, &network->cards[i], i);
	while (first < end && first->idle)
		first++;
	for (unsigned int i = 0; first < end && i < first->n_addresses; i++) {
		char address[NET_ADDRESS_TEXT];
		_cleanup_free_ char *line = path_format(
			"%s %s", net_address_text(&first->addresses[i], false, address), names);

		if (line)
			job_add_string(job, ARROW_JOB_HOSTS, line);
		else
			job->failed = -ENOMEM;
	}
}
