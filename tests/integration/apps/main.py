"""The main process of a server whose workers are `worker.py`: `main.py {"config": …, "timing": …, "behaviour": …}`."""

import json
import sys
from pathlib import Path

from pyregistry.config import Config, ConfigError
from pyregistry.server import serve
from pyregistry.server.slot import Timing

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    worker = (sys.executable, "-P", str(Path(__file__).with_name("worker.py")), given["behaviour"])
    try:
        code = serve(Config.model_validate(given["config"]), worker=worker, timing=Timing(**given["timing"]))
    except ConfigError as error:
        print(f"pyregistry: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)
