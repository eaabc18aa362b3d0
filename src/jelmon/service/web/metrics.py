"""The ``/metrics`` endpoint of services whose metrics are `Instruments`."""

from aiohttp import web

from jelmon.service.registry import Instruments
from jelmon.service.web.pages import Handler


def metrics_handler(instruments: Instruments) -> Handler:
    """Return a handler that exposes the metrics: text or OpenMetrics by ``Accept``, compressed if the client allows."""

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = instruments.render(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    return metrics
