"""The forms in which well-known sets of pictures are handed out, each recognised by its files.

idx: MNIST, Fashion-MNIST, EMNIST; cifar: CIFAR-10 and CIFAR-100; coco: COCO's annotations; open_images: Open Images'
label tables; marks: what annotations say of which picture; boxes: crops of marked objects; making: pictures that are
made here; wnid: ImageNet's names of folders
"""
