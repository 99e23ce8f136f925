"""Data: from a folder of pictures, or from arrays, to batches. The road: folder → picture → augment → loader."""

from .arrays import ArrayLoader
from .augment import CROP, central_crop, central_crops, training_crop
from .folder import ImageFolder, image_folders
from .images import DataError, Images
from .loader import Loader
from .picture import SIDE, BadPicture, read_picture
from .shapes import built_in_set
from .statistics import Statistics
from .workers import WorkerDied

__all__ = ["CROP", "SIDE", "ArrayLoader", "BadPicture", "DataError", "ImageFolder", "Images", "Loader", "Statistics",
           "WorkerDied", "built_in_set", "central_crop", "central_crops", "image_folders", "read_picture",
           "training_crop"]
