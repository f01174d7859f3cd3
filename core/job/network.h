/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_JOB_NETWORK_H
#define ARROW_CORE_JOB_NETWORK_H

/* What a job says about networks. Failures are noted in the job. */

#include "core/job/job.h"

/* /etc/resolv.conf, as Docker writes it from its options. */
void job_add_resolv(
	struct arrow_job *job, const struct arrow_spec *spec, const struct net_attachment *network);

/* The cards; and the Arrow's own names are those of its first addresses. */
void job_add_network(
	struct arrow_job *job, const struct net_attachment *network, const char *names);

#endif
