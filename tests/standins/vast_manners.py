"""How the Vast.ai stand-in behaves: every switch, changeable at any time, and faults on order.

``faults[route]`` is a deque; each request to that route takes one entry. Routes: ``search``
(both search paths), ``create``, ``list``, ``list_v0``, ``show``, ``destroy``, ``destroy_many``,
``update``, ``update_many``, ``reboot``, ``recycle``, ``change_bid``, ``logs``, ``log_object``,
``user``, ``charges``, ``filters``, ``gpu_names``. Entries:

============================  ================================================================
``ok``                        nothing happens: lets one request pass
``timeout``                   nothing is done, no answer until ``hold_s`` or the client leaves
``drop``                      the connection is reset before the body is read
``drop_after_body``           the body is read, nothing is done, the connection is reset
``lost_answer``               it is done, then the connection is reset
``half_answer``               it is done, the answer breaks off in the middle
``close_after``               it is done and answered, then the kept-alive connection is reset
``500_html`` ``502`` ``503``  nothing is done; the body is HTML
``504``
``html_200``                  HTTP 200 with a page of HTML
``success_false``             HTTP 200 with ``"success": false``
``not_json``                  HTTP 200, JSON that breaks off
``empty``                     HTTP 200 without a body
``401`` ``404_auth``          the key is refused, with either status
``410``                       ``create``: the offer is gone; elsewhere ``deprecated_endpoint``
``429`` ``quota``             throttled, in the next shape; daily search quota used up
``no_such_ask``               in the shape that ``gone_offer_as`` says
``insufficient_credit``       400, and ``spend_rate_limit``, ``invalid_args``
``X_after``                   any of the answers above, and ``timeout``, but first it *is* done
``error_with_contract``       ``create``: an error that carries ``new_contract``; the instance
                              exists, stopped
``missing_page``              ``list``: rows are left out and no token leads to them, though the
                              totals count them
``empty_list``                ``list``: no rows, though the totals count them
``no_rows``                   ``list``: ``"instances": null``
``zero_list``                 ``list``: no rows and totals of zero: a lie that nothing betrays
``stale``                     ``list``, ``show``: as it was ``stale_s`` ago; ``logs``: the
                              object is the upload before
``dead``                      ``logs``: the object never appears
``log_starting``              ``logs``: 400, the channel is starting; ``log_not_running``: 200
                              without ``result_url``
============================  ================================================================

``behaviour[machine_id]`` is how instances on that machine fare, instead of running: ``never``
(all fields blank), ``stuck_loading``, ``slow_unpack`` (as stuck, but after all is pulled),
``dead_host``, ``manifest_unknown``, ``tls_timeout``, ``oci_failure``, ``scheduling``; after
``mishap_s`` of running: ``offline``, ``outbid``.
"""

from __future__ import annotations

import secrets
from collections import defaultdict, deque
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Manners:
    """Times are seconds of the real clock unless said otherwise."""

    account_key: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    bad_key_as: int = 401
    """401, or 404: a refused key can look like something that is gone."""
    time_scale: float = 0.0
    """The rate limits are multiplied by it; 0 switches them off."""
    search_quota: int | None = None
    """Searches that are left today."""
    gone_offer_as: str = "410"
    """``410``, ``404``, ``400``, or ``rotate``."""
    gone_instance_as: str = "null"
    """``null``: 200 with ``{"instances": null}``; ``404``: ``no_such_instance``."""
    bulk_missing_as: str = "ok"
    """When some of many to destroy are gone: ``ok``, or ``404`` although the others were ended."""
    queued_start_as: int = 200
    """HTTP status of "state change queued"."""
    unfiltered: set[str] = field(default_factory=set)
    """Search filters that are accepted and not applied."""
    price_after: dict[int, float] = field(default_factory=dict)
    """By machine: the ``dph_base`` that is billed once rented, whatever the offer said."""
    taken: set[int] = field(default_factory=set)
    """Machines that somebody else has rented: not to be had, starts on them are queued."""
    behaviour: dict[int, str] = field(default_factory=dict)
    faults: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    hold_s: float = 30.0
    stale_s: float = 60.0
    lag_s: float = 0.0
    """How long a new instance is not seen by reads."""
    linger_s: float = 0.0
    """How long a destroyed instance still shows in listings."""

    runs: bool = True
    """Whether start scripts really run; without, instances only change their state."""
    created_s: float = 0.02
    loading_s: float = 0.02
    running_s: float = 0.1
    """Seconds in ``null``, ``created`` and ``loading`` each."""
    mishap_s: float = 0.3
    restart_s: float = 0.1
    """How long a container that exited stays down."""
    while_restarting: str = "exited"
    """``actual_status`` meanwhile; the instance goes on to be billed."""
    destroy_s: float = 0.05
    """From the answer to a DELETE to the end of the processes."""
    host_env: dict[str, str] = field(default_factory=dict)
    """Added to the environment of every container."""
    container_key: bool = True
    """Whether the container finds ``CONTAINER_API_KEY``."""
    answers_key: bool = True
    """Whether the create's answer has ``instance_api_key``."""
    keep_directories: bool = False
    """Whether the directory of a destroyed instance stays until the stand-in closes."""

    log_delay_s: float = 0.1
    """Until the host has uploaded a requested log."""
    stable_log_urls: bool = False
    """Whether a log has one URL for ever: the upload before is found until the next is there."""

    credit: float = 25.0
    """$ that the account was charged up with."""
    money_scale: float = 1.0
    """Billed seconds for each real second."""
