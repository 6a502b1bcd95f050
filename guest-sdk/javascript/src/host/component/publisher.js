export { publish } from 'hostel:handler/publisher@0.1.0';
